/**
 * Whole seconds as Docker tells them again, `1m30s`. The official plugin compares texts: of `90s` it would make an update of the
 * container's health check at the next run.
 */
export function duration(seconds: number): string {
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return `${hours > 0 ? `${hours}h` : ""}${seconds >= 60 ? `${minutes}m` : ""}${seconds % 60}s`;
}
