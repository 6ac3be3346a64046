var e="the smallest gap that a one-sided test at 5% shows in four of five samples: 2.49 standard errors. A two-sided verdict needs about 2.80";export{e as a};
