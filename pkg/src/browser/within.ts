// Within: no wait is without a limit.

/** As the promise, but rejected with this sentence when it takes longer. */
export function within<T>(ms: number, promise: Promise<T>, sentence: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new TimedOut(sentence)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Somebody did not answer in time. */
export class TimedOut extends Error {
  override readonly name = "TimedOut";
  readonly code = "TIMED_OUT";
}

/** The site's data were cleared, and with them what was in the broker. */
export class SiteDataCleared extends Error {
  override readonly name = "SiteDataCleared";
  readonly code = "SITE_DATA_CLEARED";

  constructor() {
    super(
      "This site's data were cleared, and the broker's messages with them: the broker starts anew, and what was not confirmed has to be published again.",
    );
  }
}
