#pragma once
// What stands below the options in `coat --help` and `coat COMMAND --help`.

namespace coat {

inline constexpr const char* kFooter = R"(Examples:
  coat tokenize book.txt more.jsonl.gz train.npy --validation 0.05 validation.npy
  coat plan  configs/tiny/tiny-coat-both.yaml
  coat train configs/tiny/tiny-coat-both.yaml --data.paths=[train.npy] --evaluators=[]
  coat eval  runs/first/latest
  coat convert runs/first/latest olmo-hf
  coat generate runs/first/latest --prompt "Once upon a time"
  coat report runs/first -o first.html

Exit codes: 0 done; 1 failed at run time; 2 a command line or configuration that cannot be honored; 3 stopped by
a signal or time_limit, and training has saved; 130 interrupted a second time, nothing saved.)";

inline constexpr const char* kTrainFooter =
    R"(A key of the configuration is set by --key.path=value, where the value is YAML, or by --key alone for true. All keys:
coat config --reference. SIGINT (Ctrl-C), SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 finish the step, save and leave with exit
code 3.

Examples:
  coat train configs/tiny/tiny-coat-both.yaml
  coat train run.yaml --optimizer.learning_rate=1e-4 --data.paths=[a.npy,b.npy] --evaluators=[] --save_overwrite
  coat train run.yaml --try_load_latest_save --device=cpu --threads=4
  mpirun -n 4 coat train run.yaml --device=cpu                 # four processes share the model: docs/distributed.md)";

inline constexpr const char* kEvalFooter =
    R"(FROM is a checkpoint (runs/first/latest), whose configuration is in it, or a configuration that says which checkpoint
(load_path). Evaluates its evaluators, or those of --data and --requests. Keys of the configuration are set as for train.
Metrics of tasks: acc, len_norm, pmi_dc, f1, ce_loss, bpb, soft, soft_log. More in docs/evaluation.md.

Examples:
  coat eval runs/first/latest
  coat eval runs/first/latest --data c4=c4.npy,more.npy --requests piqa=piqa.jsonl.gz --metrics len_norm,bpb
  coat eval runs/first/latest --recipe=training --device_eval_batch_size=8 --output result.json)";

inline constexpr const char* kPlanFooter =
    R"(Bytes by category and the saved activations by kind: for the recipe of the file, for BF16, and for COAT as published.
Reads no data and allocates nothing of the size of the model. With --ranks it is the memory of each rank, and the speed
that --gpu asks for is an estimate: docs/scaling.md says how it is made and what of it was measured. Interconnects:
nvlink and pcie are of one node; ib400 and ib200 are NVLink in nodes, and InfiniBand of 400 or 200 Gb/s a GPU between them.

Examples:
  coat plan configs/coat/OLMo-7B-COAT-Both.yaml
  coat plan run.yaml --device_train_microbatch_size=4 --json
  coat plan configs/coat/OLMo-7B-COAT-Both.yaml --ranks 64 --gpu h100 --interconnect ib400)";

inline constexpr const char* kConfigFooter = R"(Examples:
  coat config run.yaml --optimizer.learning_rate=1e-4
  coat config --reference)";

inline constexpr const char* kTokenizeFooter =
    R"(The tokenizer "bytes": ids 0 to 255 are bytes, 256 ends a document. Any other is the path of a tokenizer.json with
byte-level BPE, as OLMo's, which the Python library tokenizers reads (COAT_PYTHON names the interpreter that has it; else
python3). A file whose name ends in .jsonl, .ndjson or .json (and .gz or .zst) has one JSON object a line, each with a
document in "text"; any other file is one document. gzip and zstd data are decompressed.

Examples:
  coat tokenize book.txt train.npy
  coat tokenize a.jsonl b.jsonl.gz train.npy --dtype uint32 --validation 0.01 validation.npy
  coat tokenize part-*.json.gz dolma.npy --tokenizer tokenizer.json --shard_size 1073741824
  coat tokenize piqa.jsonl.gz piqa-ids.jsonl --requests --tokenizer tokenizer.json)";

inline constexpr const char* kConvertFooter =
    R"(IN is one of these folders; which of them is seen from its files:
  coat  a checkpoint (runs/first/latest), of one rank or in the parts of several
  hf    a Hugging Face directory of an OlmoForCausalLM or Olmo2ForCausalLM: config.json and safetensors, sharded or not
  olmo  an unsharded checkpoint of OLMo, or of COAT's fork of it: config.yaml and model.pt or model.safetensors
OUT is a folder to make. A checkpoint made so is at step 0 and has no optimizer state, unless IN is OLMo's and has them.
--to coat makes of a checkpoint in parts what one rank would have saved, with all that it has.
--to olmo writes the model alone, without optim.pt and train.pt.
More in docs/convert.md.

Examples:
  coat convert runs/first/latest olmo-hf --dtype bfloat16
  coat convert OLMo-2-0425-1B olmo2-1b
  coat convert runs/first/latest step1000-unsharded --to olmo
  coat convert runs/four-ranks/latest whole --to coat
  coat train run.yaml --load_path=olmo2-1b --reset_optimizer_state --reset_trainer_state)";

inline constexpr const char* kGenerateFooter =
    R"(CHECKPOINT is a folder such as runs/first/latest. What the model adds to the prompt is printed as it comes; how long it
took, on standard error. Ends at the model's end of text, after --max_new_tokens, or at Ctrl-C (exit code 3).

Examples:
  coat generate runs/first/latest --prompt "Once upon a time"
  coat generate olmo-1b --prompt "The capital of France is" --tokenizer tokenizer.json --temperature 0
  coat generate olmo-1b --tokenizer tokenizer.json --top_k 50 --top_p 0.95 --seed 7 < question.txt)";

inline constexpr const char* kReportFooter =
    R"(One page that needs nothing but a browser: results, curves of the metrics, memory by category, and the keys in which the
configurations differ. A RUN is the folder in which `coat train` has saved, or still saves.

Examples:
  coat report runs/first -o first.html
  coat report runs/bf16 runs/coat -o report.html --overwrite)";

inline constexpr const char* kInfoFooter = R"(Example:
  coat info)";

}  // namespace coat
