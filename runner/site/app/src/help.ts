// Explanations of columns that several pages have.

/** What the smallest detectable gap is: 1.645 + 0.842 standard errors, of a one-sided test. */
export const detectableHelp = "the smallest gap that a one-sided test at 5% shows in four of five samples: 2.49 standard errors. A two-sided verdict needs about 2.80";
