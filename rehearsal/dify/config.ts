/** Dify's own variables, as far as the stand-in heeds them; their defaults are those of Dify's compose file. */
export interface Config {
  /** Empty: nobody asks who sets it up. */
  initPassword: string;
  secretKey: string;
  consoleApiUrl: string;
  consoleWebUrl: string;
  serviceApiUrl: string;
  appWebUrl: string;
  /** Begins the pictures' links; empty: they are relative. */
  filesUrl: string;
  forceVerifyingSignature: boolean;
  marketplaceUrl: string;
  /** Where the plugins run, when in another container; empty: here. */
  pluginDaemonUrl: string;
  pluginDaemonKey: string;
  /** Milliseconds. */
  filesTimeout: number;
  /** Milliseconds that the SD tool waits for txt2img: fixed in the real plugin. */
  toolTimeout: number;
  /** Milliseconds of a plugin's installation: seconds in the real one. */
  installTime: number;
  /** The stand-in language model's URL (ends in /v1), for providers whose own address is outside. */
  cloudModels: string;
}

/** Reads Dify's variables; the ones that begin in REHEARSAL_ are the stand-in's own. */
export function configOf(variables: Record<string, string | undefined>): Config {
  const text = (name: string, without = "") => variables[name] || without;
  const url = (name: string, without = "") => text(name, without).replace(/\/$/, "");
  const seconds = (name: string, without: number) => Number(text(name, String(without))) * 1000;
  return {
    initPassword: text("INIT_PASSWORD"),
    secretKey: text("SECRET_KEY", "REHEARSAL: no SECRET_KEY was set"),
    consoleApiUrl: url("CONSOLE_API_URL"),
    consoleWebUrl: url("CONSOLE_WEB_URL"),
    serviceApiUrl: url("SERVICE_API_URL"),
    appWebUrl: url("APP_WEB_URL"),
    filesUrl: url("FILES_URL"),
    forceVerifyingSignature: text("FORCE_VERIFYING_SIGNATURE", "true") === "true",
    marketplaceUrl: url("MARKETPLACE_API_URL", "https://marketplace.dify.ai"),
    pluginDaemonUrl: url("PLUGIN_DAEMON_URL"),
    pluginDaemonKey: text("PLUGIN_DAEMON_KEY"),
    filesTimeout: seconds("FILES_ACCESS_TIMEOUT", 300),
    toolTimeout: seconds("REHEARSAL_TOOL_TIMEOUT", 120),
    installTime: seconds("REHEARSAL_INSTALL_TIME", 0.3),
    cloudModels: url("REHEARSAL_CLOUD_MODELS"),
  };
}

/** Cookies get their __Host- names when both of the console's addresses are https. */
export const cookiePrefix = ({ consoleApiUrl, consoleWebUrl }: Config): string =>
  consoleApiUrl.startsWith("https") && consoleWebUrl.startsWith("https") ? "__Host-" : "";
