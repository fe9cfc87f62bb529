#!/usr/bin/env bash
# The foreign programs that tests run against. Installs them from Debian's packages when root on Debian or Ubuntu,
# otherwise names what is missing. With CI=true a missing one is a failure.
set -u
declare -A package=(
  [chromium]=chromium [firefox-esr]=firefox-esr [baresip]=baresip [rtpengine]=rtpengine-daemon [valgrind]="valgrind libc6-dbg"
  [espeak-ng]=espeak-ng [iptables]=iptables [ip]=iproute2 [kamailio]="kamailio kamailio-tls-modules kamailio-websocket-modules"
  [sipp]=sip-tester [linphonec]=linphone-cli [tshark]=tshark [pg_createcluster]=postgresql [certutil]=libnss3-tools
)
missing=()
# H264 is a module of its own, not a program.
[ -e /usr/lib/baresip/modules/avcodec.so ] || missing+=(baresip-ffmpeg)
for program in "${!package[@]}"; do
  command -v "$program" >/dev/null || missing+=(${package[$program]})
done

# Pebble is in no distribution; Go builds it beside the tests.
pebble="$(dirname "$0")/../artefacts/peers/pebble"
if ! command -v pebble >/dev/null && [ ! -x "$pebble" ]; then
  if command -v go >/dev/null; then
    mkdir -p "$(dirname "$pebble")"
    GOBIN="$(cd "$(dirname "$pebble")" && pwd)" go install github.com/letsencrypt/pebble/v2/cmd/pebble@v2.8.0 || missing+=(pebble)
  else
    missing+=("pebble (with Go 1.23 or newer: go install github.com/letsencrypt/pebble/v2/cmd/pebble@v2.8.0)")
  fi
fi
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ] && grep -qE '^ID(_LIKE)?=.*(debian|ubuntu)' /etc/os-release 2>/dev/null; then
  echo "installing ${missing[*]}"
  # A package must not start a service of its own here: tests start what they need.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod +x "$policy" && trap 'rm -f "$policy"' EXIT
  fi
  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null && exit 0
fi
echo "These programs are needed by the tests and are not installed: ${missing[*]} (Debian's package names)" >&2
[ "${CI:-}" = true ] && exit 1
echo "Tests that need them will fail until they are there." >&2
exit 0
