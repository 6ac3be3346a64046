function r(t,n){return t||(n.length>1?"without a family":"models")}function i(t,n){return n?`${t} of ${n}`:t}export{r as a,i as b};
