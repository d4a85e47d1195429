// Within: time limits for promises.

/** Returns the promise, rejected with this sentence when it takes longer. */
export function within<T>(ms: number, promise: Promise<T>, sentence: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new TimedOut(sentence)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** The error when there is no response in time. */
export class TimedOut extends Error {
  override readonly name = "TimedOut";
  readonly code = "TIMED_OUT";
}

/** The site's data were cleared, and with them the broker's contents. */
export class SiteDataCleared extends Error {
  override readonly name = "SiteDataCleared";
  readonly code = "SITE_DATA_CLEARED";

  constructor() {
    super(
      "This site's data were cleared, and the broker's messages with them: the broker starts anew, and what was not confirmed has to be published again.",
    );
  }
}
