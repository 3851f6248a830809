import type * as pulumi from "@pulumi/pulumi";

/** A Dify to be wired: one that this stack makes, or somebody else's. */
export interface DifyPlace {
  /** Where the control machine and people reach it, without a slash at its end. */
  url: pulumi.Input<string>;
  email: string;
  /** A secret. */
  password: pulumi.Input<string>;
  /** A secret; of a Dify that this stack makes: whoever has it becomes admin. */
  initPassword?: pulumi.Input<string>;
  /** Made by this stack. */
  own: boolean;
  /** The WebUI as Dify's plugin daemon reaches it, without login. */
  webuiUrl: pulumi.Input<string>;
  /** What must be there before anything is made in it. */
  ready: pulumi.Resource[];
  /** What must be there before the WebUI is wired in: it was asked from inside. */
  reached: pulumi.Resource[];
}

/** An app as it was wired: it answers to its key. */
export interface WiredApp {
  name: string;
  mode: "agent-chat" | "advanced-chat";
  appId: pulumi.Output<string>;
  /** A secret. */
  apiKey: pulumi.Output<string>;
  /** Where people chat with it. */
  siteUrl: pulumi.Output<string>;
}
