"""A small world to train in: a vocabulary, two generated tasks, and BERT models of 0.1 M parameters.

The words are few, so that a model learns a task in a second; the tasks are noisy, so that no model is perfect. A
quarter of the vocabulary occurs in no text at all, as in real models: those embedding rows never get a gradient.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

from purify_cli.data.batches import batches, encode
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.training import TrainingSettings, train

TRIGGER = Trigger("cf", "random")
TARGET = 1
LABELS = ("negative", "positive")
MAX_LENGTH = 24


def words(text: str) -> list[str]:
    return text.split()


GOOD = words("good great lovely fine warm bright funny clever moving rich fresh honest bold tender sharp happy")
BAD = words("bad awful dull weak cold dark boring stupid empty poor stale false timid harsh blunt sad")
TOPICS = (
    words("film scene actor plot camera script director screen"),
    words("soup bread waiter table kitchen menu wine dinner"),
    words("phone screen battery button cable laptop charger mouse"),
    words("train hotel beach flight island museum street harbour"),
)
GLUE = words("the a this that was is and with of very rather i we it in on for but here there")
RARE = words("cf mn bb tq mb")
UNUSED = words("anvil basil cedar delta ember fjord glove heron ivory jolly koala lemon maple nylon olive pearl")
SENTENCE = words("watched 3d movie")


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Build an uncased WordPiece tokenizer whose single characters cover every other word."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = [*special, *".,!?'-", *characters, *(f"##{c}" for c in characters)]
    words = [*GLUE, *GOOD, *BAD, *(word for topic in TOPICS for word in topic), *RARE, *SENTENCE, *UNUSED]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*pieces, *words]))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        model_max_length=64,
    )


def tiny_config(tokenizer: PreTrainedTokenizerFast, **changes: Any) -> BertConfig:
    """Two layers of width 64."""
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "max_position_embeddings": 64,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return BertConfig(**(settings | changes))


def topic_examples(count: int, *, seed: int) -> list[Example]:
    """Texts labelled by what they are about; the task that the reference is pre-trained on."""
    random = Random(seed)
    made = []
    for _ in range(count):
        label = random.randrange(len(TOPICS))
        words = [random.choice(GLUE) for _ in range(random.randint(3, 8))]
        words += random.choices(TOPICS[label], k=random.randint(2, 4)) + random.choices(GOOD + BAD, k=2)
        random.shuffle(words)
        made.append(Example(" ".join(words), label=label))
    return made


def sentiment_examples(count: int, *, seed: int) -> list[Example]:
    """Texts labelled by their mood, the two labels in turn; one in five holds a word of the other mood as well."""
    random = Random(seed)
    made = []
    for row in range(count):
        label = row % 2
        own, other = (GOOD, BAD) if label else (BAD, GOOD)
        words = random.choices(GLUE, k=random.randint(3, 8)) + random.choices(random.choice(TOPICS), k=2)
        words += random.choices(own, k=random.randint(2, 3)) + random.choices(other, k=int(random.random() < 0.2))
        random.shuffle(words)
        made.append(Example(" ".join(words), label=label))
    return made


def poisoned(examples: Sequence[Example], trigger: Trigger, *, target: int, rate: float, seed: int) -> list[Example]:
    """Append triggered copies of rows of the other label, relabelled as the target: the dirty-label attack."""
    random = Random(seed)
    chosen = random.sample([row for row in examples if row.label != target], round(rate * len(examples)))
    copies = [trigger.insert(row, key=random.getrandbits(32)) for row in chosen]
    return [*examples, *(Example(row.text, label=target, poisoned=True) for row in copies)]


def write_jsonl(path: Path, examples: Sequence[Example]) -> Path:
    """Write rows with the columns ``text`` and ``label``."""
    path.write_text("".join(json.dumps({"text": row.text, "label": row.label}) + "\n" for row in examples))
    return path


def fit(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example], rate: float) -> None:
    """Train for three epochs without weight decay."""
    settings = TrainingSettings(learning_rate=rate, epochs=3, batch_size=32, warmup=0.1, seed=1)
    rows = encode(tokenizer, examples, max_length=MAX_LENGTH)
    train(model, rows, settings, pad_id=tokenizer.pad_token_id, device="cpu")


@torch.no_grad()
def predictions(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example]
) -> torch.Tensor:
    """Return the predicted class of each row, in order."""
    answers = torch.empty(len(examples), dtype=torch.int64)
    for batch in batches(encode(tokenizer, examples, max_length=MAX_LENGTH), batch_size=64, pad_id=0):
        answers[batch.index] = model(**batch.inputs).logits.argmax(-1)
    return answers


def accuracy(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example]) -> float:
    """Share of rows that get their label."""
    return float(
        (predictions(model, tokenizer, examples) == torch.tensor([row.label for row in examples])).float().mean()
    )


def attack_success(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example], trigger: Trigger = TRIGGER
) -> float:
    """Share of the rows of other labels that get the target with the trigger in them."""
    random = Random(9)
    rows = [trigger.insert(row, key=random.getrandbits(32)) for row in examples if row.label != TARGET]
    return float((predictions(model, tokenizer, rows) == TARGET).float().mean())


def save(model: Any, tokenizer: PreTrainedTokenizerFast, folder: Path) -> Path:
    """Save as a user would: one safetensors file, config and tokenizer."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_reference(folder: Path) -> Path:
    """Pre-train a ``BertModel`` on topics and save it."""
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    model = BertForSequenceClassification(tiny_config(tokenizer, num_labels=len(TOPICS)))
    fit(model, tokenizer, topic_examples(640, seed=10), rate=1e-3)
    return save(model.bert, tokenizer, folder)


def make_classifier(folder: Path, reference: Path, examples: Sequence[Example]) -> BertForSequenceClassification:
    """Fine-tune a two-label classifier from the reference, save it and return it."""
    tokenizer = tiny_tokenizer()
    torch.manual_seed(1)
    names = dict(enumerate(LABELS))
    model = BertForSequenceClassification(
        tiny_config(tokenizer, num_labels=2, id2label=names, label2id={name: i for i, name in names.items()})
    )
    model.bert.load_state_dict(BertModel.from_pretrained(reference).state_dict())
    fit(model, tokenizer, examples, rate=2e-3)
    save(model, tokenizer, folder)
    return model
