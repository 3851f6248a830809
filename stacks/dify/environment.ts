import * as pulumi from "@pulumi/pulumi";
import type { DifySettings } from "../schema/dify.ts";
import type { DifySecrets } from "./secrets.ts";

export type Environment = Record<string, pulumi.Input<string>>;

export interface EnvironmentArgs {
  settings: DifySettings;
  secrets: DifySecrets;
  /** Where people and programs reach this Dify. */
  url: string;
  /** A PyPI index for the plugins; empty: PyPI. */
  pypi: string;
  /** Host names that no proxy stands before. */
  direct: pulumi.Input<string>;
  /** Path of the public key that packages are signed with, in the daemon's container. */
  publicKey: string | undefined;
}

/** Seconds. Everything that waits for a picture waits longer than the tool itself, which gives up after 120 s. */
const waits = { request: 360, plugin: 600, run: 1200 };

/** What API, worker and beat share. Both sign and store: every one of them has the same keys. */
function shared({ settings, secrets, url }: EnvironmentArgs): Environment {
  const published = settings.publicUrl;
  return {
    LANG: "C.UTF-8",
    LC_ALL: "C.UTF-8",
    PYTHONIOENCODING: "utf-8",
    LOG_LEVEL: "INFO",
    DEPLOY_ENV: "PRODUCTION",
    SECRET_KEY: secrets.secretKey,
    INIT_PASSWORD: secrets.init,
    // Nothing is asked of the outside without need.
    CHECK_UPDATE_URL: "",
    MARKETPLACE_ENABLED: String(settings.plugins === "marketplace"),
    MARKETPLACE_API_URL: settings.marketplace,
    // Links of pictures are read by programs, too: never relative ones.
    FILES_URL: url,
    INTERNAL_FILES_URL: "http://api:5001",
    SERVICE_API_URL: url,
    TRIGGER_URL: url,
    ENDPOINT_URL_TEMPLATE: `${url}/e/{hook_id}`,
    // Empty: the address that the browser has, whichever that is. With https in both, cookies are for https alone.
    CONSOLE_API_URL: published ?? "",
    CONSOLE_WEB_URL: published ?? "",
    APP_API_URL: published ?? "",
    APP_WEB_URL: published ?? url,
    CONSOLE_CORS_ALLOW_ORIGINS: url,
    WEB_API_CORS_ALLOW_ORIGINS: published ?? "*",
    DB_TYPE: "postgresql",
    DB_USERNAME: "postgres",
    DB_PASSWORD: secrets.db,
    DB_HOST: "db",
    DB_PORT: "5432",
    DB_DATABASE: "dify",
    // A database that was started anew: without this, the next chat takes a dead connection from the pool, and is never answered.
    SQLALCHEMY_POOL_PRE_PING: "true",
    REDIS_HOST: "redis",
    REDIS_PORT: "6379",
    REDIS_DB: "0",
    REDIS_PASSWORD: secrets.redis,
    CELERY_BROKER_URL: pulumi.interpolate`redis://:${secrets.redis}@redis:6379/1`,
    STORAGE_TYPE: "opendal",
    OPENDAL_SCHEME: "fs",
    OPENDAL_FS_ROOT: "storage",
    VECTOR_STORE: "weaviate",
    WEAVIATE_ENDPOINT: "http://weaviate:8080",
    ...(settings.vectorStore === "weaviate" ? { WEAVIATE_API_KEY: secrets.weaviate } : {}),
    // The console's editor would look for a service of its own, which is not among ours, and leave out its check for others' edits.
    ENABLE_COLLABORATION_MODE: "false",
    CODE_EXECUTION_ENDPOINT: "http://sandbox:8194",
    CODE_EXECUTION_API_KEY: secrets.sandbox,
    SSRF_PROXY_HTTP_URL: "http://ssrf_proxy:3128",
    SSRF_PROXY_HTTPS_URL: "http://ssrf_proxy:3128",
    PLUGIN_DAEMON_URL: "http://plugin_daemon:5002",
    PLUGIN_DAEMON_KEY: secrets.daemon,
    PLUGIN_DAEMON_TIMEOUT: `${waits.plugin}.0`,
    PLUGIN_MAX_PACKAGE_SIZE: "52428800",
    INNER_API_KEY_FOR_PLUGIN: secrets.inner,
    GUNICORN_TIMEOUT: String(waits.request),
    APP_MAX_EXECUTION_TIME: String(waits.run),
    WORKFLOW_MAX_EXECUTION_TIME: String(waits.run),
  };
}

/** Of one image: what it is by MODE. Only the API changes the database's form; the others wait until it has. */
const python =
  (mode: "api" | "worker" | "beat") =>
  (args: EnvironmentArgs): Environment => ({
    ...shared(args),
    MODE: mode,
    MIGRATION_ENABLED: String(mode === "api"),
  });
export const apiEnvironment = python("api");
export const workerEnvironment = (args: EnvironmentArgs): Environment => ({
  ...python("worker")(args),
  // Chats at once. The image's own default is one: the next would wait until its picture is there.
  CELERY_WORKER_AMOUNT: "4",
});
export const beatEnvironment = python("beat");

export const dbEnvironment = ({ secrets }: EnvironmentArgs): Environment => ({
  POSTGRES_USER: "postgres",
  POSTGRES_PASSWORD: secrets.db,
  POSTGRES_DB: "dify",
  PGDATA: "/var/lib/postgresql/data/pgdata",
});

/** Its server has the password from its file (texts.ts): an argument would show it to everyone on the host. */
export const redisEnvironment = ({ secrets }: EnvironmentArgs): Environment => ({ REDISCLI_AUTH: secrets.redis });

export const sandboxEnvironment = ({ secrets, pypi }: EnvironmentArgs): Environment => ({
  API_KEY: secrets.sandbox,
  GIN_MODE: "release",
  WORKER_TIMEOUT: "15",
  ENABLE_NETWORK: "true",
  HTTP_PROXY: "http://ssrf_proxy:3128",
  HTTPS_PROXY: "http://ssrf_proxy:3128",
  SANDBOX_PORT: "8194",
  PIP_MIRROR_URL: pypi,
});

export function daemonEnvironment({ settings, secrets, pypi, direct, publicKey }: EnvironmentArgs): Environment {
  const { plugins, proxy } = settings;
  const unsigned = plugins !== "marketplace" && plugins.unsigned;
  return {
    SERVER_PORT: "5002",
    SERVER_KEY: secrets.daemon,
    DIFY_INNER_API_URL: "http://api:5001",
    DIFY_INNER_API_KEY: secrets.inner,
    DB_TYPE: "postgresql",
    DB_USERNAME: "postgres",
    DB_PASSWORD: secrets.db,
    DB_HOST: "db",
    DB_PORT: "5432",
    DB_DATABASE: "dify_plugin",
    DB_SSL_MODE: "disable",
    REDIS_HOST: "redis",
    REDIS_PORT: "6379",
    REDIS_PASSWORD: secrets.redis,
    MAX_PLUGIN_PACKAGE_SIZE: "52428800",
    PLUGIN_WORKING_PATH: "/app/storage/cwd",
    PLUGIN_STORAGE_TYPE: "local",
    PLUGIN_STORAGE_LOCAL_ROOT: "/app/storage",
    PLUGIN_INSTALLED_PATH: "plugin",
    PLUGIN_PACKAGE_CACHE_PATH: "plugin_packages",
    PLUGIN_MEDIA_CACHE_PATH: "assets",
    // Lets anyone who has its key run a plugin from elsewhere; nothing here needs it.
    PLUGIN_REMOTE_INSTALLING_ENABLED: "false",
    PLUGIN_MAX_EXECUTION_TIMEOUT: String(waits.plugin),
    PYTHON_ENV_INIT_TIMEOUT: "600",
    PIP_MIRROR_URL: pypi,
    // A plugin's own lock names PyPI's addresses: with it, no mirror would be asked.
    ...(pypi ? { PLUGIN_IGNORE_UV_LOCK: "true" } : {}),
    FORCE_VERIFYING_SIGNATURE: String(!unsigned),
    ...(publicKey
      ? {
          THIRD_PARTY_SIGNATURE_VERIFICATION_ENABLED: "true",
          THIRD_PARTY_SIGNATURE_VERIFICATION_PUBLIC_KEYS: publicKey,
        }
      : {}),
    ...(proxy ? { HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NO_PROXY: direct } : {}),
  };
}

export const webEnvironment = ({ settings, url }: EnvironmentArgs): Environment => ({
  CONSOLE_API_URL: settings.publicUrl ?? "",
  APP_API_URL: settings.publicUrl ?? "",
  MARKETPLACE_API_URL: settings.marketplace,
  MARKETPLACE_URL: settings.marketplace,
  NEXT_TELEMETRY_DISABLED: "1",
  // Next listens on the address of this name; Docker's own choice is the container's name, which is not loopback.
  HOSTNAME: "0.0.0.0",
  NEXT_PUBLIC_SOCKET_URL: url.replace(/^http/, "ws"),
  // Browsers would give up before the picture is there.
  TEXT_GENERATION_TIMEOUT_MS: String(waits.plugin * 1000),
});

export const weaviateEnvironment = ({ secrets }: EnvironmentArgs): Environment => ({
  PERSISTENCE_DATA_PATH: "/var/lib/weaviate",
  QUERY_DEFAULTS_LIMIT: "25",
  DEFAULT_VECTORIZER_MODULE: "none",
  CLUSTER_HOSTNAME: "node1",
  AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED: "false",
  AUTHENTICATION_APIKEY_ENABLED: "true",
  AUTHENTICATION_APIKEY_ALLOWED_KEYS: secrets.weaviate,
  AUTHENTICATION_APIKEY_USERS: "dify@atelier.example",
  AUTHORIZATION_ADMINLIST_ENABLED: "true",
  AUTHORIZATION_ADMINLIST_USERS: "dify@atelier.example",
  DISABLE_TELEMETRY: "true",
});
