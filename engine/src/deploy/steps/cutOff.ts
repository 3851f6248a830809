/** What a provider gets to end its calls in order, once they are cut off. */
const CUT_OFF_MS = 1500;

/** The call's end; or, soon after the signal, a rejection: nobody waits for a provider that does not hear. */
export async function cutOff(call: Promise<void>, signal: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let onAbort = (): void => {};
  const killed = new Promise<never>((_, reject) => {
    onAbort = () => {
      timer = setTimeout(() => reject(new Error("Cut off while it ran; what it did is not known.")), CUT_OFF_MS);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    await Promise.race([call, killed]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
