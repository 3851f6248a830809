import type { EngineEvent } from "@atelier/engine/events";

/** Something that shows the events of one update, of either engine. */
export interface Display {
  event(event: EngineEvent): void;
  /** A line for people, among the others. */
  note(text: string): void;
  /** Ends what is overwritten; nothing is shown after it. */
  end(): void;
}

/** One stream for several displays. */
export function both(...displays: Display[]): Display {
  return {
    event: (event) => {
      for (const display of displays) display.event(event);
    },
    note: (text) => {
      for (const display of displays) display.note(text);
    },
    end: () => {
      for (const display of displays) display.end();
    },
  };
}
