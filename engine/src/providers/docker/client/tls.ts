import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** What proves the engine to us and us to the engine, in PEM. */
export interface Tls {
  ca: string;
  cert: string;
  key: string;
}

/**
 * The three from a provider's inputs; undefined: the engine is asked without TLS.
 * @throws naming what is missing, unreadable or no PEM
 */
export function readTls(material: Tls, certPath: string): Tls | undefined {
  const missing = Object.keys(material).filter((name) => material[name as keyof Tls] === "");
  if (missing.length === 3) return certPath === "" ? undefined : readFolder(certPath);
  // Without the authority's certificate anyone could answer in the engine's place.
  if (missing.length > 0) {
    const names = missing.map((name) => `${name}Material`).join(" and ");
    throw new Error(`docker.Provider needs caMaterial, certMaterial and keyMaterial together; it lacks ${names}.`);
  }
  if (certPath !== "") throw new Error("docker.Provider takes either certPath or the material itself, not both.");
  return proved(material, (name) => `${name}Material`);
}

function readFolder(certPath: string): Tls {
  const read = (name: string): string => {
    try {
      return readFileSync(join(certPath, name), "utf8");
    } catch (error) {
      throw new Error(
        `cannot read ${name} in the provider's certPath ${certPath}: ${(error as Error).message}. It must hold ca.pem, cert.pem and key.pem.`,
      );
    }
  };
  const tls = { ca: read("ca.pem"), cert: read("cert.pem"), key: read("key.pem") };
  return proved(tls, (name) => join(certPath, `${name}.pem`));
}

/** Node passes over an authority that is none in silence, and of the others says where in OpenSSL they failed. */
function proved(tls: Tls, place: (name: keyof Tls) => string): Tls {
  const certificate = (name: "ca" | "cert"): X509Certificate => {
    try {
      return new X509Certificate(tls[name]);
    } catch {
      throw new Error(`docker.Provider: ${place(name)} is no certificate in PEM (-----BEGIN CERTIFICATE-----).`);
    }
  };
  certificate("ca");
  const cert = certificate("cert");
  let key: ReturnType<typeof createPrivateKey>;
  try {
    key = createPrivateKey(tls.key);
  } catch {
    const why = /^(Proc-Type: 4,|-----BEGIN )ENCRYPTED/m.test(tls.key)
      ? "has a passphrase; it must be a key without one"
      : "is no private key in PEM";
    throw new Error(`docker.Provider: ${place("key")} ${why}.`);
  }
  if (!cert.checkPrivateKey(key))
    throw new Error(`docker.Provider: ${place("key")} is not the key of ${place("cert")}.`);
  return tls;
}

/** What OpenSSL means by `40AD…:error:0A000412:SSL routines:ssl3_read_bytes:ssl/tls alert bad certificate:…/rec_layer_s3.c:918:…`. */
export function plainTls(said: string): string {
  const inside = /:error:[0-9A-F]{8}:[^:]*:[^:]*:([^:]+):/.exec(said)?.[1];
  return inside ?? said.replace(/; if the root CA is installed locally.*/s, "").replace(/\.\s*$/, "");
}

/** What to do about a handshake that failed; undefined: it was none. `tls`: what we have shown. */
export function tlsAdvice(code: string | undefined, said: string, tls: Tls | undefined): string | undefined {
  if (/wrong version number|packet length too long|record layer failure/.test(said))
    return "It speaks no TLS on this port: name the port that does (2376 by custom), or leave certPath and the material out.";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return "Name the engine in the provider's host as its certificate does, or have one made for this name.";
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID")
    return "It is the engine's own certificate: have it renewed (dockerd --tlscert), or set this machine's clock.";
  if (/SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|CERT_SIGNATURE/.test(code ?? ""))
    return tls === undefined
      ? "Set the provider's certPath, or caMaterial, certMaterial and keyMaterial, by which it is known."
      : "Its certificate is not of the authority in caMaterial (certPath's ca.pem): take the one of this engine (dockerd --tlscacert), unless another answers in its place.";
  if (tls !== undefined && /alert|ECONNRESET|EPIPE|socket hang up/.test(`${code} ${said}`)) return refused(tls);
  return undefined;
}

/** An engine does not tell what it has against a certificate. */
function refused(tls: Tls): string {
  const { validFrom, validTo } = new X509Certificate(tls.cert);
  const now = Date.now();
  if (Date.parse(validTo) < now)
    return `The client's certificate (certMaterial, certPath's cert.pem) expired on ${validTo}: have it renewed.`;
  if (Date.parse(validFrom) > now)
    return `The client's certificate (certMaterial, certPath's cert.pem) is valid from ${validFrom} only: set this machine's clock.`;
  return "It seems to refuse the client's certificate: certMaterial (certPath's cert.pem) must be of an authority that the engine knows (dockerd --tlscacert), and made for clients (clientAuth).";
}
