# What a platform offers to reach GitHub and Hugging Face faster: for the steps that fetch from them, and for no other.

# use_accelerator: sets the proxies of the input `accelerator` (a script on the host that exports them, or a proxy) for this process.
# Upstreams that are neither GitHub nor Hugging Face are asked without it: such a proxy lets nothing else through, or makes it slow.
use_accelerator() {
  _accelerator=$(input accelerator)
  [ -n "$_accelerator" ] || return 0
  _ca=''
  case $_accelerator in
    /*)
      if [ ! -f "$_accelerator" ]; then
        say "the accelerator $_accelerator is not on this host; fetching without it"
        return 0
      fi
      # In a shell of its own: it is not ours, and may end the one that it runs in.
      _said=$("$(command -v bash || echo sh)" -c '. "$1" >/dev/null 2>&1; printf "%s\n%s\n" "${https_proxy:-${HTTPS_PROXY:-${http_proxy:-}}}" "${SSL_CERT_FILE:-${REQUESTS_CA_BUNDLE:-}}"' sh "$_accelerator" </dev/null) || _said=''
      _url=$(printf '%s\n' "$_said" | sed -n 1p)
      _ca=$(printf '%s\n' "$_said" | sed -n 2p)
      ;;
    *) _url=$_accelerator ;;
  esac
  if [ -z "$_url" ]; then
    say "the accelerator $_accelerator sets no proxy; fetching without it"
    return 0
  fi
  case $_url in
    [Hh][Tt][Tt][Pp]://* | [Hh][Tt][Tt][Pp][Ss]://*) ;;
    *://*)
      say "the accelerator $_accelerator sets no HTTP proxy (${_url%%:*}), and not every tool speaks another; fetching without it"
      return 0
      ;;
  esac
  # Without an answer GitHub may still be reached directly.
  if ! any_answer "$_url"; then
    say "the accelerator $_accelerator does not answer; fetching without it"
    return 0
  fi
  export http_proxy="$_url" https_proxy="$_url" HTTP_PROXY="$_url" HTTPS_PROXY="$_url"
  if [ -n "$_ca" ] && [ -f "$_ca" ]; then export SSL_CERT_FILE="$_ca" CURL_CA_BUNDLE="$_ca" GIT_SSL_CAINFO="$_ca"; fi
  _direct=$(printf '%s\n' "$INPUT" | tr -s '\\ \t' '\n' | sed -n 's#^[^:]*https\{0,1\}://\([^/:@]*\).*#\1#p' | sort -u |
    grep -v -E '(^|\.)(github\.com|githubusercontent\.com|huggingface\.co|hf\.co)$' | tr '\n' ',') || _direct=''
  no_proxy="${_direct%,}${no_proxy:+,$no_proxy}"
  # Where such an upstream leads to, the fetcher goes without it, too.
  export ATELIER_ACCELERATED=yes
}

# any_answer URL: something answers there within 3 s, an error too. Unknown, and so yes, on a box that has neither curl nor Python yet.
any_answer() {
  if command -v curl >/dev/null 2>&1; then
    curl -s -o /dev/null --noproxy '*' --max-time 3 "$1" 2>/dev/null
  elif _any=$(any_python); then
    "$_any" - "$1" 2>/dev/null <<'END'
import sys, urllib.error, urllib.request
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=3).close()
except urllib.error.HTTPError:
    pass
END
  fi
}
