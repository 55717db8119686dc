"""Scores a request file with a Hugging Face model in float32, one request at a time, and compares with `coat eval`.

rank_classification.py MODEL REQUESTS DETAILS RESULT TOLERANCE MARGIN

The method is that of lm-evaluation-harness: context and continuation as tokens (here: bytes) one after the other, the
last max_position_embeddings + 1 of them, logits of all but the last token, and the sum of log softmax at the
continuation's tokens. DETAILS and RESULT are what `coat eval --details --output` wrote. TOLERANCE is how far
log-likelihoods may be apart. Metrics are computed here from the model's own log-likelihoods: shares of right answers must
be equal, unless scores of a question are closer than MARGIN, where the answer is undecided; others within TOLERANCE.
"""

import json
import math
import sys

try:
    import torch
    from transformers import AutoModelForCausalLM
except ModuleNotFoundError as error:
    print(error)
    sys.exit(77)


def log_likelihood(model, request):
    context = list(request["context"].encode())
    continuation = list(request["continuation"].encode())
    tokens = (context + continuation)[-(model.config.max_position_embeddings + 1):]
    with torch.no_grad():
        logits = model(torch.tensor([tokens[:-1]])).logits[0]
    of_continuation = torch.log_softmax(logits.double(), dim=-1)[-len(continuation):]
    return of_continuation.gather(1, torch.tensor(continuation)[:, None]).sum().item()


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def main():
    folder, requests_path, details_path, result_path = sys.argv[1:5]
    tolerance, margin = float(sys.argv[5]), float(sys.argv[6])
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
    requests = [json.loads(line) for line in open(requests_path, encoding="utf-8")]
    details = {(d["doc_id"], d["idx"]): d for d in map(json.loads, open(details_path, encoding="utf-8"))}
    metrics = {}
    for evaluation in json.load(open(result_path, encoding="utf-8"))["evaluations"]:
        for name, value in evaluation["metrics"].items():
            metrics[name.split("/")[-1].removeprefix(evaluation["label"] + "_")] = value

    documents = {}
    largest = 0.0
    for request in requests:
        text = request["request"]["continuation"]
        value = log_likelihood(model, request["request"])
        detail = details.pop((request["doc_id"], request["idx"]))
        largest = max(largest, abs(value - detail["log_likelihood"]))
        assert detail["characters"] == len(text) - 1, detail
        assert detail["bytes"] == len(text[1:].encode()), detail
        assert detail["tokens"] == len(text.encode()), detail
        document = documents.setdefault(request["doc_id"], {"gold": request["label"], "continuations": {}})
        document["continuations"][request["idx"]] = (value, len(text) - 1, len(text[1:].encode()))
    assert not details, details
    print(f"{len(requests)} log-likelihoods, at most {largest:.3g} apart; {tolerance} accepted")
    assert largest <= tolerance

    questions = []
    for document in documents.values():
        answers = [document["continuations"][i] for i in range(len(document["continuations"]))]
        questions.append((answers, document["gold"]))
    undecided = 0
    for name, score in [("acc", lambda a: a[0]), ("len_norm", lambda a: a[0] / a[1])]:
        right = 0
        of_metric = 0
        for answers, gold in questions:
            scores = [score(a) for a in answers]
            best = max(range(len(scores)), key=scores.__getitem__)
            right += best == gold
            of_metric += sorted(scores)[-1] - sorted(scores)[-2] < margin
        undecided += of_metric
        print(name, right / len(questions), metrics[name], f"{of_metric} undecided")
        assert abs(right / len(questions) - metrics[name]) <= of_metric / len(questions) + 1e-12
    print("undecided questions:", undecided)
    expected = {
        "ce_loss": mean(-a[g][0] / a[g][1] for a, g in questions),
        "bpb": mean(-a[g][0] / a[g][2] / math.log(2) for a, g in questions),
        "soft": mean(math.exp(a[g][0]) / sum(math.exp(b[0]) for b in a) for a, g in questions),
        "soft_log": mean(a[g][0] - math.log(sum(math.exp(b[0]) for b in a)) for a, g in questions),
    }
    for name, value in expected.items():
        print(name, value, metrics[name])
        # Each is a mean of log-likelihoods divided by at least 1, or of differences of two of them.
        assert abs(value - metrics[name]) <= 2 * tolerance / math.log(2), name


main()
