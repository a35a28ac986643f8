#!/usr/bin/env bash
# From a crawl to an assistant with tools, and a report on it, by the clock: `make speedrun`.
# Half an hour on two cores. Everything goes to one folder; report.html there is what to read.
#
#     make speedrun SEED=3            other weights, order of the data, samples and probe, in
#                                     runs/speedrun-3; the world and the exams stay the same
#     make speedrun MINUTES=60        twice the steps of training
#
# To try it in a few minutes, whatever comes out:
#     COPY_STEPS=20 BASE_STEPS=40 SFT_STEPS=20 SKILL_STEPS=20 PROBE_COUNT=50 COUNT=5 make speedrun
set -euo pipefail
cd "$(dirname "$0")/.."

if ! [[ ${SEED:-0} =~ ^(0|[1-9][0-9]*)$ && ${MINUTES:-30} =~ ^[1-9][0-9]*$ ]]; then
  echo "SEED=${SEED:-0} MINUTES=${MINUTES:-30}: both must be whole numbers, MINUTES over 0" >&2
  exit 1
fi
seed=${SEED:-0}
out=${SPEEDRUN:-runs/speedrun${SEED:+-$SEED}}
steps() { echo $((($1 * ${MINUTES:-30} + 29) / 30)); }
copy_steps=${COPY_STEPS:-$(steps 1000)}     # steps of training: learning to copy,
base_steps=${BASE_STEPS:-$(steps 2450)}     # pretraining,
sft_steps=${SFT_STEPS:-$(steps 720)}        # the plain assistant,
skill_steps=${SKILL_STEPS:-$(steps 3200)}   # and the one with tools
probe_count=${PROBE_COUNT:-8500}     # questions of the probe,
count=${COUNT:-200}                  # and of each exam

talk=$out/talk/conversations
plain=("$talk"/{facts,rare,follow,repeat,small_talk,decline,system,dialogues}.jsonl)
skilled=("$talk"/{facts,copy,repeat,sums,drills,spelling,traps,small_talk,decline,system}.jsonl
         "$talk"/{identity,python,search,dialogues}.jsonl)

python() { "${PYTHON:-.venv/bin/python}" "$@"; }

if [ -e "$out" ]; then
  echo "$out is there: move it away, to run again" >&2
  exit 1
fi

# ---- Data ----------------------------------------------------------------------------------------
# Conversations about the pocket world, and an index of pages to search. Then the world's pages as
# the crawl's pipeline leaves them, among them exercises, and pages that are repeated up to 100
# times: they measure how often a page must be read to be known by heart.

python data/world.py talk --out "$out/talk"
python data/recall.py plant world "$out/talk/practice.jsonl" --out "$out/pages"

# ---- Pretraining ---------------------------------------------------------------------------------
# Before all else the weights learn to copy, and exercises among the pages keep them copying: so
# small a model would not find out how to in so little text, and one that cannot copy a name answers
# with another. The vocabulary is small for the same reason: it would see most of 4096 tokens too
# seldom to say them again. The first run makes no more than random weights and a tokenizer.

python train.py --data "$out/pages/documents" --out "$out/random" --steps 1 \
  --vocab-size 2048 --eval-tokens 1024 --seed "$seed"
python train.py sft --model "$out/random" --data "$talk/copy.jsonl" --mix 0 --context 256 \
  --lr 2e-3 --eval-every 400 --eval-tokens 16384 --out "$out/copy" --seed "$seed" \
  --steps "$copy_steps"
python train.py --model "$out/copy" --data "$out/pages/documents" --out "$out/base" \
  --optimizer adamw --lr 2e-3 --weight-decay 0.1 --eval-every 1000 --eval-tokens 4096 \
  --seed "$seed" --steps "$base_steps"

# ---- Two assistants ------------------------------------------------------------------------------
# The plain one answers whatever it is asked. It is probed: what does it not know? The other learns
# from that to say so, and also who it is, and how to calculate, run Python and search.

python train.py sft --model "$out/base" --data "${plain[@]}" --mix 0.2 --out "$out/sft" \
  --eval-every 500 --eval-tokens 16384 --seed "$seed" --steps "$sft_steps"
python data/probe.py --model "$out/sft" --count "$probe_count" --times 2 --worlds 24 \
  --declining 0.82 --seed "$seed" --out "$out/probe.jsonl"
python train.py sft --model "$out/sft" --data "${skilled[@]}" "$out/probe.jsonl" --mix 0.04 \
  --lr 2e-3 --eval-every 800 --eval-tokens 16384 --out "$out/assistant" \
  --seed "$seed" --steps "$skill_steps"

# ---- The report ----------------------------------------------------------------------------------

python data/recall.py copies --model "$out/base" --planted "$out/pages/planted.json"
python infer.py eval --model "$out/base" "$out/sft" "$out/assistant" --training world \
  --index "$out/talk/search.db" --count "$count" --workers 2 \
  --out "$out/report.json" --html "$out/report.html"

echo "$out: $((SECONDS / 60)) minutes"
