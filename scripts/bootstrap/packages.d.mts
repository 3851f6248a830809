export function ensurePackages(root: string): Promise<void>;
export function staleness(root: string): string | undefined;
