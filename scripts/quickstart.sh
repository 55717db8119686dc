#!/bin/bash
# From a fresh clone to two trained models: installs what is missing, builds, makes token files from the Jargon File,
# trains the tiny model in BF16 and with COAT, and compares the two. About four minutes on two cores. With a GPU it also
# builds the CUDA backend, which takes several more, and trains there. Arguments go to CMake: -DCOAT_CUDA=OFF
set -euo pipefail
cd "$(dirname "$0")/.."

out=runs/quickstart
coat=build/release/tools/coat
text=/usr/share/doc/jargon-text/jargon.txt.gz
configs=(tiny-bf16 tiny-coat-both)

say() { printf '\n== %s\n' "$1"; }

say "Packages"
scripts/install_packages.sh

say "Build"
cuda=AUTO
nvidia-smi -L >/dev/null 2>&1 || cuda=OFF
cmake --preset release -DCOAT_CUDA=$cuda "$@"
cmake --build --preset release --target coat

say "Data: the Jargon File, public domain"
mkdir -p $out/data
if [ ! -e $text ]; then  # some images leave /usr/share/doc out of every package
  (cd $out/data && apt-get -q download jargon-text && dpkg-deb -x jargon-text_*.deb .)
  text=$out/data$text
fi
$coat tokenize "$text" $out/data/train.npy --validation 0.03 $out/data/validation.npy --overwrite

for config in "${configs[@]}"; do
  say "Training $config"
  $coat train configs/tiny/"$config".yaml --save_folder=$out/"$config" --save_overwrite
  $coat plan configs/tiny/"$config".yaml --json >$out/"$config"/plan.json
done

say "Results"
scripts/compare_runs.py --bytes $out/data/validation.npy $out/losses.png "${configs[@]/#/$out/}"
