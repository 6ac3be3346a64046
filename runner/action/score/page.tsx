// The page of an experiment's scores: every model on every dataset, and a comparison of models with a baseline.
import { Compare } from "score/compare";
import { Models } from "score/models";
import { Scores } from "score/table";
import type { Page } from "site/page";

export const page: Page = {
  subtitle: () => "Bits per byte of every model on every dataset. Lower is better.",
  tabs: [
    { id: "models", title: "Models", view: Models },
    { id: "scores", title: "All scores", view: Scores },
    { id: "compare", title: "Compare models", view: Compare },
  ],
};
