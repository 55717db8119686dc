// docs/config.md, from the lists of keys.

#include <fmt/core.h>

#include <set>
#include <string>
#include <type_traits>
#include <typeindex>

#include "config/dump.h"
#include "config/tree.h"
#include "config/type_text.h"
#include "config/yaml_text.h"

namespace coat {

namespace {

constexpr std::string_view kIntroduction = R"(# Configuration

Made by `coat config --reference` from the lists of keys in `src/config/*_config.h`; a test compares the two.

`coat train FILE.yaml [--key.path=value ...]` reads OLMo's YAML, with COAT's sections `quantize_model` and
`quantize_optimizer`. Defaults come first, then the file, then the command line; mappings merge by key, lists are
replaced whole. A key that does not exist, a value of another type, a value that this build cannot honor and keys that
contradict each other are errors that name the file, the line, the key path and what is accepted:

    configs/x.yaml:14: model.n_head: no such key; did you mean n_heads?
    configs/x.yaml:21: model.attention_dropout: 0.1 cannot be honored by this build; accepted: 0.0 (dropout of ...)
    on the command line: --optimizer.learning_rate: found `fast`; accepted: a number such as 4.0e-4

## How values are written

- Integers: `739_328`. Not `010` (octal for some readers), `0x10`, `1e3` or `4.0`.
- Numbers: `4.0e-4`, `1e-5`, `.5`, `12`.
- Truth: `true`, `false`; not `yes`, `no`, `on`, `off`.
- Nothing: `null`, `~`, or an empty value.
- A length of training: `739_328` steps, `2e12T` tokens, `1ep` epochs.
- Anchors, aliases and `<<` work; a key that stands twice in a mapping, tags and several documents are errors.

## References

`${a.b}` is the value of the key `a.b`, counted from the top of the file; defaults can be referred to as well. Alone it
keeps its type, within a text it must be a scalar. `${c[0]}` is an item of a list. References are resolved after the
command line is applied. `\${` stands for the text `${`.

| resolver | value |
|---|---|
| `${path.glob:p1,p2,...}` | the sorted files that match each pattern, one pattern after the other: a list; no match is an error |
| `${path.choose:p1,p2,...}` | the first that is a URL or exists; none is an error |
| `${path.last_checkpoint:folder}` | the folder `stepN` or `stepN-unsharded` with the largest N; none is an error |
| `${path.check_exist:path}` | the path if it exists, else null |
| `${oc.env:NAME,default}` | the environment variable as a text, else the default; without a default it must be set |

Arguments may be quoted and may hold references: `${path.check_exist:runs/${run_name}/latest}`.

## The command line

`--optimizer.learning_rate=1e-4 --stop_at=10 --data.paths=[a.npy,b.npy] --evaluators=[] --save_overwrite`. A value is YAML;
without `=` it is `true`; a key that takes a text needs a value. The name has two dashes before it; `-` within it is read as `_`. An element of a list
cannot be set, only the whole list.

## Old spellings

`activation_checkpointing: true` is read as `whole_layer`, `false` as null; `optimizer.name: decoupled_lionw` as `lionw`,
without `optimizer.eps`; `optimizer.no_decay_norm_and_bias` sets `decay_norm_and_bias` and `decay_embeddings`.

## Keys

The last column says what this build does: *honored*; *only* the values listed, any other is an error; *no effect*, which is
reported once when the key is set; *computed*, where a value in the file is overwritten.
)";

constexpr std::string_view kChecks = R"(
## What must fit together

- `model.n_heads` divides `d_model` into an even head size of at most 4096; `n_kv_heads` divides `n_heads` and agrees with
  `multi_query_attention`; with `clip_qkv` the width of queries, keys and values is a multiple of 8; the feed-forward
  width is even; `embedding_size` is at least `vocab_size`; `eos_token_id` and
  `pad_token_id` are tokens of the vocabulary.
- `data` and the `data` of each evaluator have either `paths` or `datasets`, with at least one file each, all of them local;
  as many `label_mask_paths` as `paths`. Labels of evaluations are different. An evaluator with `type: downstream` has
  `requests` instead of `data`, and `metrics` unless its label is a task of OLMo's.
- `scheduler.warmup_min_lr` is below `optimizer.learning_rate`; `grad_clip_warmup_steps` and `grad_clip_warmup_factor` come
  together; `max_duration` is at least one step.
- `quantize_optimizer` needs `optimizer.name: adamw` without `selective_updates`. `qgroup_size` is a multiple of 32 up to 256.
- An FP8 recipe needs `precision: amp_bf16`. With `precision: fp32`, `gradient_precision: bf16` has no effect: gradients are float32.
- `coat_real` and `fp8linear`: `d_model`, the width of queries, keys and values, and the inner MLP width (half of the
  feed-forward width) are multiples of 16; with `coat_real` the inner width is also a multiple of `group_size`.
  On a GPU the tokens of every micro-batch are a multiple of 16 too, unless `--gemm=bf16` is given.
- `fp8deepseek`: these widths, and the tokens of every micro-batch, are multiples of 128; `fast_accumulation` is none or null.
- `group_size` and `fobit` are read with `coat_real`, the other bit keys with any FP8 recipe, the keys of `quantize_optimizer` with
  `use_quantize_optimizer`; where one has another value than by default and is not read, a note says so.
- The bit keys are E4M3 or E5M2. Where one is absent, it is E4M3 for `fabit`, `fwbit`, `fobit`, and for `babit`, `bwbit`,
  `bobit` E5M2 with `coat_real` and `fp8linear`, E4M3 with `fp8deepseek`. No product has two E5M2 operands: output = fabit x
  fwbit; input gradient = babit x fwbit inside a block, bobit x fwbit for its last layer; weight gradient = bwbit x fabit.
)";

std::string UseText(const KeyDoc& doc) {
  switch (doc.use) {
    case KeyUse::kHonored:
      return "honored";
    case KeyUse::kOnly:
      break;
    case KeyUse::kNoEffect:
      return "no effect";
    case KeyUse::kComputed:
      return "computed";
  }
  std::string text = "only `";
  for (const char c : doc.accepted) {
    if (c == ',') {
      text += "`,";
    } else if (c == ' ') {
      text += " `";
    } else {
      text += c;
    }
  }
  return text + "`";
}

template <class T>
struct SectionOf {
  using type = void;
};
template <ConfigSection Section>
struct SectionOf<Section> {
  using type = Section;
};
template <ConfigSection Section>
struct SectionOf<std::optional<Section>> {
  using type = Section;
};
template <ConfigSection Section>
struct SectionOf<std::vector<Section>> {
  using type = Section;
};

/// "an integer such as 739_328, or null" as "integer, or null".
std::string ShortType(std::string text) {
  const std::size_t example = text.find(" such as ");
  if (example != std::string::npos) text.erase(example, text.find(',', example) - example);
  for (const std::string_view article : {"a ", "an "}) {
    if (text.rfind(article, 0) == 0) text.erase(0, article.size());
  }
  return text;
}

class Writer {
 public:
  template <ConfigSection Section>
  void WriteSection(const std::string& path) {
    written_.insert(typeid(Section));
    text_ += path.empty() ? "\n### Top level\n" : fmt::format("\n### `{}`\n", path);
    text_ += "\n| key | type | default | meaning | here |\n|---|---|---|---|---|\n";
    const Section section;
    ForEachField(section,
                 [&](std::string_view key, const auto& member, const KeyDoc& doc) { WriteRow(key, member, doc); });
    ForEachField(section, [&](std::string_view key, const auto& member, const KeyDoc&) {
      using Member = std::decay_t<decltype(member)>;
      using Inner = typename SectionOf<Member>::type;
      if constexpr (!std::is_void_v<Inner>) {
        const std::string_view item = std::is_same_v<Member, std::vector<Inner>> ? "[]" : "";
        if (written_.find(typeid(Inner)) == written_.end()) WriteSection<Inner>(Below(path, key) + std::string(item));
      }
    });
  }

  std::string text_;

 private:
  template <class Member>
  void WriteRow(std::string_view key, const Member& member, const KeyDoc& doc) {
    std::string value = "`" + YamlText(ToNode(member));
    value.back() = '`';
    if constexpr (ConfigSection<Member>) value = "its own";
    if constexpr (std::is_same_v<Member, std::optional<FsdpConfig>>) value = "its own";
    if (std::is_same_v<Member, std::string> && value == "`\"\"`") value = "required";
    text_ += fmt::format("| `{}` | {} | {} | {} | {} |\n", key, ShortType(TypeText(TypeTag<Member>{})), value, doc.help,
                         UseText(doc));
  }

  std::set<std::type_index> written_;
};

}  // namespace

std::string ConfigReference() {
  Writer writer;
  writer.text_ = kIntroduction;
  writer.WriteSection<TrainConfig>("");
  return writer.text_ + std::string(kChecks);
}

}  // namespace coat
