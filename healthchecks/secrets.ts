import type { Input } from "./input.ts";

/** Every written form of the login that could show it to a reader. */
export function secretForms(user: string, password: string): string[] {
  const pair = `${user}:${password}`;
  const forms = [
    pair,
    Buffer.from(pair).toString("base64"),
    JSON.stringify(pair).slice(1, -1),
    encodeURIComponent(pair),
  ];
  // A word of a few letters is found everywhere: only the pair gives such a password away.
  if (password.length >= 4) {
    forms.push(password, JSON.stringify(password).slice(1, -1), encodeURIComponent(password));
  }
  return [...new Set(forms)].sort((a, b) => b.length - a.length);
}

/** Makes the function that takes every secret of the input out of a text. */
export function masker(input: Input): (text: string) => string {
  const { password, privateKeyPassword } = input.tunnel ?? {};
  const keys = input.dify?.apps.map(({ apiKey }) => apiKey) ?? [];
  const more = [password, privateKeyPassword, input.dify?.admin?.password, ...keys].filter(
    (secret) => secret !== undefined && secret.length >= 4,
  );
  const forms = [...secretForms(input.user, input.password), ...(more as string[])];
  return (text) => forms.reduce((masked, form) => masked.replaceAll(form, "***"), text);
}
