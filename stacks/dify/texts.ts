/** The configuration files that go into the containers. */

const upstreams: [place: string, upstream: string][] = [
  ["/console/api", "api:5001"],
  ["/api", "api:5001"],
  ["/v1", "api:5001"],
  ["/openapi", "api:5001"],
  ["/files", "api:5001"],
  ["/mcp", "api:5001"],
  ["/triggers", "api:5001"],
  ["/e/", "plugin_daemon:5002"],
  ["/", "web:3000"],
];

/** The Python packages of a bundle, as containers reach them: a port that is published nowhere. */
export const wheelsUrl = "http://nginx:8090/simple/";

/**
 * The one door: which service answers for which path. A name is looked up again while it runs (Docker's own resolver), so a service
 * that was made anew is found. Streams of answers are passed on as they come.
 * @param options.wheels what lies in /wheels is served inside
 */
export function nginxConf({ wheels = false } = {}): string {
  const places = upstreams.map(([place, upstream]) =>
    [
      `  location ${place} {`,
      `    set $upstream ${upstream};`,
      "    proxy_pass http://$upstream;",
      ...(place === "/e/" ? ["    proxy_set_header Dify-Hook-Url $forwarded_proto://$http_host$request_uri;"] : []),
      ...(place === "/e/" ? proxyHeaders.map((line) => `  ${line}`) : []),
      "  }",
    ].join("\n"),
  );
  return `# Who stands before this one may have ended TLS.
map $http_x_forwarded_proto $forwarded_proto {
  default $scheme;
  https https;
}
server {
  listen 80;
  server_name _;
  server_tokens off;
  resolver 127.0.0.11 valid=5s ipv6=off;
  client_max_body_size 100m;
  proxy_http_version 1.1;
  proxy_buffering off;
  proxy_connect_timeout 10s;
  proxy_read_timeout 3600s;
  proxy_send_timeout 3600s;
${proxyHeaders.join("\n")}

${places.join("\n")}
}
${wheels ? "server {\n  listen 8090;\n  server_tokens off;\n  root /wheels;\n}\n" : ""}`;
}

// nginx takes none from outside where a location sets one of its own.
const proxyHeaders = [
  "  proxy_set_header Host $http_host;",
  "  proxy_set_header X-Real-IP $remote_addr;",
  "  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
  "  proxy_set_header X-Forwarded-Proto $forwarded_proto;",
  '  proxy_set_header Connection "";',
];

/**
 * The way out for what users of Dify may have it fetch: HTTP nodes and code. Not to this container itself, nor to a cloud's metadata.
 * @param proxy where all of it goes on to, behind a filter
 */
export function squidConf(proxy: string | undefined): string {
  const lines = [
    "http_port 3128",
    "acl inside src 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7 fe80::/10",
    "acl metadata dst 169.254.0.0/16 fe80::/10",
    "acl ports port 80 443 1025-65535",
    "acl tls port 443 1025-65535",
    "acl CONNECT method CONNECT",
    "http_access deny !ports",
    "http_access deny CONNECT !tls",
    "http_access deny to_localhost",
    "http_access deny metadata",
    "http_access allow inside",
    "http_access deny all",
    // Nobody else: every look at its health would be a line.
    "access_log daemon:/var/log/squid/access.log squid inside",
    "cache deny all",
    "shutdown_lifetime 1 seconds",
    "coredump_dir /var/spool/squid",
  ];
  if (proxy) {
    const { hostname, port, protocol, username, password } = new URL(proxy);
    const login = username ? ` login=${decodeURIComponent(username)}:${decodeURIComponent(password)}` : "";
    lines.push(
      `cache_peer ${hostname} parent ${port || (protocol === "https:" ? 443 : 80)} 0 no-query no-digest no-netdb-exchange default${login}${protocol === "https:" ? " tls" : ""}`,
      "acl local dst 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10",
      "always_direct allow local",
      "never_direct allow all",
      // Whose proxy alone knows the world's names: every first call of one would wait half a minute here.
      "dns_timeout 5 seconds",
    );
  }
  return `${lines.join("\n")}\n`;
}

/** With the password, which has no place on a command line. */
export const redisConf = (password: string): string =>
  [`requirepass ${password}`, "appendonly yes", "save 60 1", "dir /data", "protected-mode yes"].join("\n").concat("\n");

/** What the sandbox does not take from its environment. */
export const sandboxConf = (key: string): string =>
  [
    "app:",
    "  port: 8194",
    "  debug: false",
    `  key: ${JSON.stringify(key)}`,
    "max_workers: 4",
    "max_requests: 50",
    "worker_timeout: 15",
    "enable_network: true",
    "proxy:",
    '  socks5: ""',
    "  http: http://ssrf_proxy:3128",
    "  https: http://ssrf_proxy:3128",
  ]
    .join("\n")
    .concat("\n");
