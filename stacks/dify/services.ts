import type { DifyService } from "../../images/dify.ts";
import * as environment from "./environment.ts";

export const volumeNames = ["storage", "db", "redis", "plugins", "sandbox", "weaviate", "wheels"] as const;
export type VolumeName = (typeof volumeNames)[number];

/** A service as data: what Dify's own compose file says of it, and what that leaves out. */
export interface ServiceSpec {
  environment: (args: environment.EnvironmentArgs) => environment.Environment;
  /** `inside`: only through the SSRF proxy to the world. */
  networks: ("default" | "inside")[];
  volumes?: Partial<Record<VolumeName, string>>;
  command?: string[];
  health: Health;
  /** Services that have to be healthy before this one is made. */
  after: DifyService[];
}
export interface Health {
  /** As Docker takes it. */
  test: string[];
  /** Seconds between two looks once it is up. */
  every: number;
  /** Seconds that a look may take. @default 20 */
  within?: number;
  /** Seconds that it may take to start; undefined: what `dify.timeout` says, for the API's migrations run then, and a worker compiles as much Python. */
  start?: number;
}

const http = (url: string, every = 5, start = 120): Health => ({
  test: ["CMD", "curl", "-fsS", "-o", "/dev/null", url],
  every,
  start,
});
const shell = (line: string, every: number, start?: number): Health => ({
  test: ["CMD-SHELL", line],
  every,
  ...(start === undefined ? {} : { start }),
});
const none = () => ({});

export const services: Record<DifyService, ServiceSpec> = {
  db: {
    environment: environment.dbEnvironment,
    networks: ["default"],
    volumes: { db: "/var/lib/postgresql/data" },
    // API, worker, beat and daemon may open 150 together, and Postgres takes 100 unless told.
    command: ["postgres", "-c", "max_connections=200"],
    // Over TCP: while its first databases are made it listens on its socket alone.
    health: { test: ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "postgres", "-d", "dify"], every: 3, start: 120 },
    after: [],
  },
  redis: {
    environment: environment.redisEnvironment,
    networks: ["default"],
    volumes: { redis: "/data" },
    command: ["redis-server", "/etc/atelier/redis.conf"],
    health: shell("redis-cli ping | grep -q PONG", 3, 60),
    after: [],
  },
  weaviate: {
    environment: environment.weaviateEnvironment,
    networks: ["default"],
    volumes: { weaviate: "/var/lib/weaviate" },
    health: shell("wget -q -O /dev/null http://127.0.0.1:8080/v1/.well-known/ready", 5, 120),
    after: [],
  },
  ssrf_proxy: {
    environment: none,
    networks: ["inside", "default"],
    health: { test: ["CMD", "bash", "-c", ": </dev/tcp/127.0.0.1/3128"], every: 5, start: 60 },
    after: [],
  },
  sandbox: {
    environment: environment.sandboxEnvironment,
    networks: ["inside"],
    volumes: { sandbox: "/dependencies" },
    health: http("http://127.0.0.1:8194/health", 5, 180),
    after: ["ssrf_proxy"],
  },
  api: {
    environment: environment.apiEnvironment,
    networks: ["default", "inside"],
    volumes: { storage: "/app/api/storage" },
    health: { test: ["CMD", "curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:5001/health"], every: 5 },
    after: ["db", "redis"],
  },
  worker: {
    environment: environment.workerEnvironment,
    networks: ["default", "inside"],
    volumes: { storage: "/app/api/storage" },
    health: {
      // A ping starts a Python: it is sent until it is answered, and then every five minutes. A busy machine of two cores takes 20 s for it.
      ...shell(
        'find /dev/shm/atelier-up -mmin -5 2>/dev/null | grep -q . || { celery -A celery_healthcheck.celery inspect ping -t 10 -d "celery@$HOSTNAME" | grep -q pong && touch /dev/shm/atelier-up; }',
        5,
      ),
      within: 60,
    },
    after: ["api"],
  },
  worker_beat: {
    environment: environment.beatEnvironment,
    networks: ["default", "inside"],
    // It answers nobody: what can be asked is whether it is what runs there.
    health: shell("grep -qa beat /proc/1/cmdline", 5, 60),
    after: ["api"],
  },
  plugin_daemon: {
    environment: environment.daemonEnvironment,
    networks: ["default"],
    volumes: { plugins: "/app/storage" },
    health: http("http://127.0.0.1:5002/health/check", 5, 180),
    after: ["db", "redis"],
  },
  web: {
    environment: environment.webEnvironment,
    networks: ["default"],
    health: shell("wget -q -O /dev/null http://127.0.0.1:3000/signin", 5, 180),
    after: [],
  },
  nginx: {
    environment: none,
    networks: ["default"],
    // Through it to the API: what people and programs get.
    health: shell("wget -q -O /dev/null http://127.0.0.1/console/api/setup", 5, 120),
    after: ["api", "web", "plugin_daemon"],
  },
};
