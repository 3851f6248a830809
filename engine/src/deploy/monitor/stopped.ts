/** The deployment is over (failed, interrupted, finished): the program gets UNAVAILABLE, which tells it to end quietly. */
export class Stopped extends Error {
  constructor() {
    super("the deployment has ended");
    this.name = "Stopped";
  }
}
