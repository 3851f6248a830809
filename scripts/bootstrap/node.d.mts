export function isCurrent(version: string): boolean;
export function findNode(root: string, machine?: { version?: string; platform?: string; arch?: string }): string;
export function setEnvironment(root: string, node: string): void;
