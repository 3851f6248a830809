export function ensureSystemPackages(options?: { required?: boolean }): void;
