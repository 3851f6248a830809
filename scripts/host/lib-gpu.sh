# The host's GPUs, by nvidia-smi: which one is used, and whether it is still the one.

nvidia_smi() {
  command -v nvidia-smi && return
  for _smi in /usr/local/nvidia/bin/nvidia-smi /usr/lib/wsl/lib/nvidia-smi /opt/bin/nvidia-smi; do
    [ ! -x $_smi ] || { echo $_smi && return; }
  done
  return 1
}

check_gpu() {
  forget_gpus
  if [ "$(input gpu required)" = none ]; then
    fact gpu none
    return
  fi
  if ! _smi=$(nvidia_smi); then
    refuse "no GPU: there is no nvidia-smi on the host. Choose a GPU box (or start it with its GPU), or set host.gpu to none for a slow CPU host"
    return
  fi
  _code=0
  _said=$(ask_gpus index,name,driver_version,memory.total,compute_cap) || _code=$?
  case $_said in
    *compute_cap*'not a valid field'*)
      # An old driver, whose version is what has to be told.
      _code=0
      _said=$(ask_gpus index,name,driver_version,memory.total) || _code=$?
      ;;
  esac
  _answer=$(rows_of "$_said")
  case $_code in
    124 | 137) refuse "nvidia-smi did not answer within 20 s: the driver hangs. Start the box again, or choose another" && return ;;
    # Another word for a broken infoROM, of which the GPU says itself whether it works.
    14) say "$(printf '%s\n' "$_said" | grep -v '^[0-9][0-9]*,' | head -n 2 | tr '\n' ' ')" && _code=0 ;;
  esac
  if [ $_code != 0 ] || [ -z "$_answer" ]; then
    refuse "nvidia-smi found no usable GPU (exit code $_code: $(printf '%s' "$_said" | head -n 2 | tr '\n' ' ')): start the box with its GPU, or choose another"
    return
  fi
  _driver=$(printf '%s\n' "$_answer" | head -n 1 | cut -d, -f3 | tr -d ' ')
  _min=$(input min_driver 530)
  fact driver "$_driver"
  case ${_driver%%.*} in
    '' | *[!0-9]*) refuse "the GPU driver is \"$_driver\", which is no version; CUDA $(input cuda) wants $_min or later: choose another box" ;;
    *)
      [ "${_driver%%.*}" -ge "$_min" ] ||
        refuse "the GPU driver is $_driver; CUDA $(input cuda) wants $_min or later. A container can't change it: choose a box with a newer driver$(other_for_driver "${_driver%%.*}")"
      ;;
  esac
  choose_gpu
  [ -z "$_picked" ] || printf '%s\n' "$_answer" | cards >"$WORKSPACE/run/gpus"
}

# The steps that go by the GPU: its memory's flags, its number.
by_gpu='config service'

# same_gpus: in a check. A box may come back without its GPU, or with another, or below an older driver.
same_gpus() {
  _smi=$(nvidia_smi) || drifted "nvidia-smi is gone from the host" $by_gpu
  _said=$(ask_gpus index,name,driver_version,memory.total,compute_cap) || :
  _now=$(rows_of "$_said" | cards)
  [ -n "$_now" ] || drifted "nvidia-smi finds no GPU any more ($(printf '%s' "$_said" | head -n 1))" $by_gpu
  [ "$_now" = "$(cat "$WORKSPACE/run/gpus" 2>/dev/null)" ] || drifted "the host has other GPUs than it had: $(printf '%s' "$_now" | cut -d, -f2 | sed 's/^ *//' | paste -sd, -)" $by_gpu
  _driver=$(rows_of "$_said" | head -n 1 | cut -d, -f3 | tr -d ' ')
  [ "${_driver%%.*}" -ge "$(input min_driver 530)" ] 2>/dev/null || drifted "the GPU driver is $_driver by now; CUDA $(input cuda) wants $(input min_driver 530) or later"
}

forget_gpus() { rm -f "$WORKSPACE/run/gpu" "$WORKSPACE/run/vram" "$WORKSPACE/run/gpus"; }

# cards: of the rows of ask_gpus, what makes it the same GPU. Not the driver: one as good will do.
cards() { cut -d, -f1,2,4,5; }

# rows_of TEXT: a line of a loader or a warning may stand before the answer and behind it.
rows_of() { printf '%s\n' "$1" | grep '^[0-9][0-9]*,' || :; }

# ask_gpus FIELDS: what nvidia-smi says of each GPU. One whose driver hangs may not listen to a request to end.
ask_gpus() {
  _limit=''
  if timeout -k 5 20 true 2>/dev/null; then _limit='timeout -k 5 20'; elif command -v timeout >/dev/null 2>&1; then _limit='timeout 20'; fi
  $_limit "$_smi" --query-gpu="$1" --format=csv,noheader,nounits 2>&1
}

# other_for_gpu SM: the other build of torch, where that one has code for the GPU.
other_for_gpu() {
  [ "$1" -lt "$(input other_min_sm 999)" ] || [ "$1" -gt "$(input other_max_sm 0)" ] || printf 'set webui.torch to %s, or ' "$(input other)"
}

# other_for_driver NUMBER: the same, where the driver would do for it.
other_for_driver() {
  [ "$1" -lt "$(input other_min_driver 9999)" ] || printf ', or, for a GPU up to sm_%s, set webui.torch to %s' "$(input other_max_sm)" "$(input other)"
}

# choose_gpu: the first with enough memory and a supported architecture; all reasons when there is none.
choose_gpu() {
  _least=$(input min_sm 50)
  _max=$(input max_sm 90)
  _vram=$(input min_vram_mb 0)
  _count=$(printf '%s\n' "$_answer" | grep -c .)
  fact_json gpus "$_count"
  _reasons=''
  _picked=''
  while IFS=, read -r _index _name _drv _mb _cap; do
    _name=$(printf '%s' "$_name" | sed 's/^ *//; s/ *$//')
    # A slice of a GPU (MIG) may not be told: "[Insufficient Permissions]", "[N/A]".
    _told=${_mb# }
    _mb=$(printf '%s' "$_mb" | tr -dc '0-9')
    _sm=$(printf '%s' "$_cap" | tr -dc '0-9')
    _why=''
    if [ -n "$_sm" ] && [ "$_sm" -gt "$_max" ]; then
      _why="GPU $_index ($_name) has compute capability $(printf '%s' "$_cap" | tr -d ' ') (sm_$_sm); torch $(input torch) for CUDA $(input cuda) goes up to sm_$_max and can't use it: $(other_for_gpu "$_sm")choose an older GPU ($(input cards))"
    elif [ -n "$_sm" ] && [ "$_sm" -lt "$_least" ]; then
      _why="GPU $_index ($_name) has compute capability $(printf '%s' "$_cap" | tr -d ' '); torch $(input torch) for CUDA $(input cuda) wants sm_$_least or later: $(other_for_gpu "$_sm")choose a newer GPU ($(input cards))"
    elif [ -n "$_mb" ] && [ "$_mb" -lt "$_vram" ]; then
      _why="GPU $_index ($_name) has $_mb MB of memory; wanted: $_vram MB: choose a bigger GPU"
    elif [ -z "$_picked" ]; then
      _picked=$_index
      fact gpu "$_name"
      fact_json gpu_index "$_index"
      [ -z "$_mb" ] || fact_json vram_mb "$_mb"
      fact compute_capability "$(printf '%s' "$_cap" | tr -d ' ')"
      printf '%s\n' "$_index" >"$WORKSPACE/run/gpu"
      # The step config chooses the WebUI's way with memory by it.
      if [ -n "$_mb" ]; then
        printf '%s\n' "$_mb" >"$WORKSPACE/run/vram"
      else
        say "warning: nvidia-smi does not tell the memory of GPU $_index ($_name): $_told (a slice of a GPU, MIG?); wanted: $_vram MB, not checked"
      fi
      [ "$_count" = 1 ] || say "$_count GPUs; using GPU $_index ($_name, ${_mb:-?} MB)"
    fi
    [ -z "$_why" ] || _reasons="$_reasons$_why
"
  done <<END
$_answer
END
  [ -n "$_picked" ] || printf '%s' "$_reasons" >>"$RUN/refusals"
}
