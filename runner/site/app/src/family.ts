// The names of families and of what is fitted to them, as the figures of the reports have them.

/** familyName names the models of a family. Those without one are points of different designs if others have a family. */
export function familyName(family: string, families: string[]): string {
  return family || (families.length > 1 ? "without a family" : "models");
}

/** fitName names what is fitted to the models of a family. */
export function fitName(what: string, family: string): string {
  return family ? `${what} of ${family}` : what;
}
