export function withLock<T>(
  folder: string,
  work: () => T | Promise<T>,
  options?: { deadlineMs?: number; doing?: string },
): Promise<T>;
