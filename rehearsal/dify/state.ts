import { randomUUID } from "node:crypto";
import type { Json, JsonObject } from "./json.ts";

/** All that the stand-in keeps over a restart; one JSON file, written whole. */
export interface State {
  tenantId: string;
  account: Account | undefined;
  /** Token to its end, in ms. */
  refreshTokens: Record<string, number>;
  /** E-mail to wrong passwords in a row. */
  wrongLogins: Record<string, { count: number; until: number }>;
  preferences: JsonObject;
  /** What was uploaded or downloaded, by identifier: the real daemon keeps it too. */
  packages: Record<string, Package>;
  plugins: Plugin[];
  tasks: Task[];
  toolCredentials: ToolCredential[];
  modelCredentials: ModelCredential[];
  /** `provider model` to the active credential's id. */
  activeModels: Record<string, string | null>;
  defaultModels: Record<string, { provider: string; model: string }>;
  apps: App[];
  pictures: Record<string, { name: string; bytes: number; made: number }>;
  messages: Message[];
}

export interface Account {
  id: string;
  email: string;
  name: string;
  language: string;
  salt: string;
  passwordHash: string;
  createdAt: number;
  setupAt: string;
  lastLoginAt: number;
  /** In the workspace. @default "owner" */
  role?: string;
}

export interface Package {
  id: string;
  pluginId: string;
  author: string;
  name: string;
  version: string;
  checksum: string;
  verified: boolean;
  declaration: JsonObject;
}

export interface Plugin {
  id: string;
  package: string;
  source: string;
  installedAt: string;
}

export interface Task {
  id: string;
  createdAt: string;
  doneAt: number;
  settled: boolean;
  failure: string | undefined;
  plugins: { identifier: string; source: string; replaces: string | undefined }[];
}

export interface ToolCredential {
  id: string;
  provider: string;
  name: string;
  type: string;
  isDefault: boolean;
  credentials: Record<string, string>;
}

export interface ModelCredential {
  id: string;
  provider: string;
  /** Empty: the provider's own, for all its models. */
  model: string;
  modelType: string;
  name: string;
  credentials: Record<string, string>;
}

export type AppMode = "agent-chat" | "advanced-chat" | "workflow" | "chat" | "completion";

export interface App {
  id: string;
  name: string;
  description: string;
  mode: AppMode;
  icon: string;
  iconType: string;
  iconBackground: string;
  useIconAsAnswerIcon: boolean;
  enableSite: boolean;
  enableApi: boolean;
  maxActiveRequests: number | null;
  createdAt: number;
  updatedAt: number;
  siteCode: string;
  siteTitle: string;
  siteUpdatedAt: number;
  modelConfig: JsonObject | undefined;
  modelConfigUpdatedAt: number;
  draft: Workflow | undefined;
  published: Workflow[];
  apiKeys: { id: string; token: string; createdAt: number }[];
}

export interface Workflow {
  id: string;
  version: string;
  graph: JsonObject;
  features: JsonObject;
  environmentVariables: Json[];
  conversationVariables: Json[];
  hash: string;
  markedName: string;
  markedComment: string;
  createdAt: number;
  updatedAt: number;
  changed: boolean;
}

export interface Message {
  id: string;
  appId: string;
  conversationId: string;
  user: string;
  query: string;
  answer: string;
  createdAt: number;
  pictures: string[];
}

export const emptyState = (): State => ({
  tenantId: randomUUID(),
  account: undefined,
  refreshTokens: {},
  wrongLogins: {},
  preferences: {
    permission: { install_permission: "everyone", debug_permission: "everyone" },
    auto_upgrade: {
      strategy_setting: "fix_only",
      upgrade_time_of_day: 0,
      upgrade_mode: "exclude",
      exclude_plugins: [],
      include_plugins: [],
    },
  },
  packages: {},
  plugins: [],
  tasks: [],
  toolCredentials: [],
  modelCredentials: [],
  activeModels: {},
  defaultModels: {},
  apps: [],
  pictures: {},
  messages: [],
});

/** Seconds, as most of Dify's times are. */
export const now = (): number => Math.floor(Date.now() / 1000);
