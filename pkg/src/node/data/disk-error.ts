// Disk error: the sentence for a failed operation on a file or folder.

const CAUSES: Record<string, string> = {
  EACCES: "because this user may not; give it the right to, or name another folder by the option data",
  EDQUOT: "because the disk quota is used up; make room, then start the broker again",
  EEXIST: "because there is a file of that name; name a folder by the option data",
  EFBIG: "because files may not be larger here; raise the limit (ulimit -f), then start the broker again",
  EIO: "because the disk failed (EIO); check it, then start the broker again",
  EMFILE: "because too many files are open; raise the limit (ulimit -n), then start the broker again",
  ENOENT: "because it is not there any more; restore it from a backup",
  ENOSPC: "because the disk is full; make room, then start the broker again",
  ENOTDIR: "because a part of that path is a file; name a folder by the option data",
  EPERM: "because this user may not; give it the right to, or name another folder by the option data",
  EROFS: "because its file system is read-only; name another folder by the option data",
};

/** A failed operation on a file or folder, and what to do about it. */
export class DiskError extends Error {
  override readonly name = "DiskError";

  /** `done` is a participle: read, written. */
  constructor(path: string, done: string, cause: unknown) {
    const { code = "", message } = cause as NodeJS.ErrnoException;
    super(`${path} could not be ${done} ${CAUSES[code] ?? `(${code || message})`}.`, { cause });
  }
}

/** Runs an operation on a file or folder; its errors become `DiskError`s. */
export function onDisk<T>(path: string, done: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new DiskError(path, done, error);
  }
}
