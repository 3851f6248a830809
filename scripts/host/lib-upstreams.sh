# Upstreams as this host sees them: asked once, all at the same time, and remembered in run/upstreams, a line an upstream:
# KIND, BASE, MS until the first byte (- : dead, ? : not asked), BYTES/S (- : unknown), the answer. The first line says in which order they are used.

# Seconds that an upstream may take; all are asked at once, so this is the whole time.
ASK_S=4
# Bytes asked of a file: enough for a rate, not enough to matter.
ASK_BYTES=4194304

# rank_urls: standard input has a URL a line; standard output the same, best first. A URL goes by the longest base that it begins with.
# order=auto: by the measured rate; else as given. Those that did not answer come last, but they come; what was not measured keeps its place.
rank_urls() {
  if [ ! -s "$WORKSPACE/run/upstreams" ]; then
    grep . || :
    return 0
  fi
  awk -F'\t' '
    NR == FNR {
      if (/^#/) auto = / order=auto /
      else { n++; base[n] = $2; ms[n] = $3; rate[n] = $4 }
      next
    }
    $0 != "" {
      found = 0
      for (i = 1; i <= n; i++) if (index($0, base[i]) == 1 && length(base[i]) > length(base[found])) found = i
      class = 1; speed = 0; wait = 0
      if (found && ms[found] == "-") class = 2
      else if (found && auto && ms[found] != "?") { class = 0; speed = rate[found] + 0; wait = ms[found] }
      printf "%d\t%.0f\t%d\t%d\t%s\n", class, speed, wait, ++lines, $0
    }' "$WORKSPACE/run/upstreams" - | sort -t'	' -k1,1n -k2,2nr -k3,3n -k4,4n | cut -f5
}

# measure_upstreams [again]: asks the upstreams of the input `upstreams` (kind, base, probe), unless they were asked with the same settings before.
# A kind of which none answers is a refusal.
measure_upstreams() {
  check_offline
  # A rate is worth its bytes where it decides something: in a given order, an answer is all that is asked for.
  [ "${1:-}" = again ] || [ "$(input upstreams_order)" = auto ] || ASK_BYTES=1
  _table=$WORKSPACE/run/upstreams
  _key=$({ input upstreams && input upstreams_order && input proxy && input proxy_secret && input accelerator; } | hash_text)
  if [ "${1:-}" = again ] || [ "$(sed -n '1s/.* key=\([0-9a-f]*\).*/\1/p' "$_table" 2>/dev/null)" != "$_key" ]; then
    ask_upstreams || return 0
  fi
  _json=''
  _silent=0
  for _kind in $(grep -v '^#' "$_table" | cut -f1 | sort -u); do
    awk -F'\t' -v k="$_kind" '$1 == k' "$_table" >"$RUN/kind"
    _best=$(cut -f2 "$RUN/kind" | best_of)
    if [ -z "$_best" ] && may_be_silent "$_kind"; then
      say "none of kind $_kind answers, and the host may do without: $(cut -f2 "$RUN/kind" | tr '\n' ' ')"
      continue
    fi
    if [ -z "$_best" ]; then
      refuse "no upstream of kind $_kind answers: $(awk -F'\t' '{ printf "%s%s (%s)", (NR > 1 ? ", " : ""), $2, $5 }' "$RUN/kind"). Set upstreams.$_kind, another upstreams.profile, or host.proxy"
      _silent=1
      continue
    fi
    _json="$_json,\"$_kind\":{\"best\":\"$(json "$_best")\",$(awk -F'\t' -v b="$_best" '$2 == b { printf "\"ms\":%s,\"bytesPerSecond\":%s", ($3 + 0), ($4 + 0); exit }' "$RUN/kind")}"
    awk -F'\t' '$3 == "-" { print $2 " (" $5 ")" }' "$RUN/kind" >"$RUN/dead"
    [ ! -s "$RUN/dead" ] || say "does not answer, another of kind $_kind does: $(tr '\n' ' ' <"$RUN/dead")"
  done
  rm -f "$RUN/kind" "$RUN/dead"
  # Asked again the next time.
  [ $_silent = 0 ] || { sed '1s/ key=[0-9a-f]*/ key=none/' "$_table" >"$_table.new" && mv "$_table.new" "$_table"; }
  fact_json upstreams "{${_json#,}}"
}

# check_offline: Python is in no bundle. What apt would bring, the step packages names.
check_offline() {
  [ "$(input offline no)" = yes ] || return 0
  for _p in $(all_pythons); do
    _v=$("$_p" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    if input python | tr ' ' '\n' | grep -qx "$_v"; then return 0; fi
  done
  refuse "no Python $(echo $(input python)) on the host, and this stack has no upstream to get one from (offline, or a bundle): install one there (Ubuntu 22.04: python3.10 python3.10-venv), or accept another (host.python)"
}

# may_be_silent KIND: no reason to refuse a host. Models come from either hub; a client's own default is its own matter, and may be a cache.
may_be_silent() {
  case $1 in
    git) return 1 ;;
    pypi) grep -q '	default	' "$RUN/kind" ;;
    huggingface) grep -q '^modelscope	[^	]*	[^-]' "$_table" ;;
    modelscope) grep -q '^huggingface	[^	]*	[^-]' "$_table" ;;
  esac
}

# best_of: of the bases on standard input the first that answered, fastest first; those that were not asked only when no other answered.
best_of() {
  while IFS= read -r _b; do awk -F'\t' -v b="$_b" '$2 == b && $3 != "-"' "$_table"; done |
    sort -u | awk -F'\t' '{ printf "%d\t%.0f\t%d\t%s\n", ($3 == "?"), $4, $3, $2 }' | sort -t'	' -k1,1n -k2,2nr -k3,3n | head -n 1 | cut -f4
}

# ask_upstreams: all at once, into run/upstreams; 1 when there is nothing on the host to ask with.
ask_upstreams() {
  _ask=''
  if command -v curl >/dev/null 2>&1; then _ask=ask_curl; elif _python=$(any_python); then _ask=ask_python; fi
  if [ -z "$_ask" ]; then
    fact upstreams "not measured: no curl and no python on the host yet"
    return 1
  fi
  rm -rf "$RUN/up"
  mkdir -p "$RUN/up"
  _n=1000
  # The list in a file: a pipe would lose the counter, and `wait` its children.
  { input upstreams && echo; } >"$RUN/up/list"
  while IFS='	' read -r _kind _url _probe; do
    [ -n "$_url" ] || continue
    _n=$((_n + 1))
    {
      printf '%s\t%s\t' "$_kind" "$_url"
      _probe=$(probe_of "$_kind" "$_url" "${_probe:-$_url}")
      case $_probe in
        http://* | https://*) $_ask "$_probe" ;;
        *) printf '?\t-\tnot measured\n' ;;
      esac
    } >"$RUN/up/$_n" &
  done <"$RUN/up/list"
  wait
  rm -f "$RUN/up/list"
  {
    printf '# order=%s key=%s at=%s\n' "$(input upstreams_order given)" "$_key" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    for _file in "$RUN"/up/*; do [ ! -f "$_file" ] || cat "$_file"; done
  } >"$_table.new"
  mv "$_table.new" "$_table"
  rm -rf "$RUN/up"
}

# probe_of KIND BASE PROBE: what is asked. Only the host knows its own index, and which distribution it is.
probe_of() {
  case $1:$2 in
    pypi:default)
      _index=$(own_index)
      if [ -z "$_index" ] && _any=$(any_python); then
        _index=$("$_any" -c 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)' 2>/dev/null) || _index=''
      fi
      [ -z "$_index" ] || printf '%s/%s' "${_index%/}" "${3#default/}"
      ;;
    apt:*)
      . /etc/os-release
      _mirror=${2%/}/$ID
      [ "$2" != default ] || _mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -oE 'https?://[^ ]+' | head -n 1)
      [ -z "$_mirror" ] || printf '%s/dists/%s/InRelease' "${_mirror%/}" "${VERSION_CODENAME:-stable}"
      ;;
    *) printf '%s' "$3" ;;
  esac
}

# ask_curl URL, ask_python URL: `MS<tab>BYTES/S<tab>status`, or `-<tab>-<tab>why not`. A 404 is an answer; a proxy's refusal is none.
ask_curl() {
  _code=0
  _got=$(curl -sS -L --max-redirs 5 -o /dev/null -r "0-$((ASK_BYTES - 1))" --max-time $ASK_S -w '%{http_code} %{time_starttransfer} %{time_total} %{size_download}' "$1" 2>"$RUN/up/why.$_n") || _code=$?
  _why=$(head -n 1 "$RUN/up/why.$_n" | sed 's/^curl: //' | tr '\t' ' ')
  rm -f "$RUN/up/why.$_n"
  # Cut off by our own time: the rate is known all the same.
  [ $_code = 0 ] || [ $_code = 28 ] || _got=0
  read -r _status _first _total _size <<END
$_got
END
  [ "${_size:-0}" -gt 0 ] || [ $_code != 28 ] || _status=0
  answer "$_status" "$(printf '%s' "${_first:-0}" | awk '{ printf "%d", $1 * 1000 }')" "$(printf '%s %s' "${_size:-0}" "${_total:-0}" | awk '{ printf "%.0f", ($2 > 0 ? $1 / $2 : 0) }')" "$_why"
}
ask_python() {
  _got=$("$_python" - "$1" "$ASK_S" "$ASK_BYTES" 2>/dev/null <<'END'
import sys, time, urllib.error, urllib.request
url, limit, most = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
began, size, first = time.time(), 0, 0
try:
    request = urllib.request.Request(url, headers={"Range": "bytes=0-%d" % (most - 1)})
    with urllib.request.urlopen(request, timeout=limit) as answer:
        code, why, first = answer.status, "", time.time() - began
        while size < most and time.time() - began < limit:
            block = answer.read1(65536)
            if not block:
                break
            size += len(block)
except urllib.error.HTTPError as error:
    code, why, first = error.code, "", time.time() - began
except Exception as error:
    code, why = (code if size else 0), str(error)
print(code, int(first * 1000), int(size / max(time.time() - began, 0.001)), why.replace("\n", " "))
END
  ) || _got='0 0 0 no answer'
  read -r _status _ms _rate _why <<END
$_got
END
  answer "$_status" "$_ms" "$_rate" "$_why"
}
answer() {
  case $1 in
    407 | 502 | 503 | 504 | 000 | 0 | '') printf -- '-\t-\t%s\n' "${4:-HTTP $1}" ;;
    2*) printf '%s\t%s\tHTTP %s\n' "$2" "$([ "$ASK_BYTES" = 1 ] && echo - || echo "$3")" "$1" ;;
    # The words of an error are no measure of a rate.
    *) printf '%s\t-\tHTTP %s\n' "$2" "$1" ;;
  esac
}
