"""Of a folder only configuration, vocabulary and weights are taken, and checked."""

import json
import struct

import pytest
from tests.src.models.backbones.conftest import CONFIG, WORDS

from headrace.errors import Refusal, UsageError
from headrace.use.backbones.admission import admit

KERAS = {
    "module": "keras_hub.src.models.bert.bert_backbone",
    "class_name": "BertBackbone",
    "registered_name": "keras_hub>BertBackbone",
    "config": {"vocabulary_size": len(WORDS)},
}
TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def safetensors(header, data=bytes(8)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def write(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(data) if isinstance(data, dict) else data
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@pytest.fixture
def bert(tmp_path):
    """A folder in the form of Hugging Face."""
    files = {
        "config.json": CONFIG,
        "vocab.txt": "\n".join(WORDS) + "\n",
        "tokenizer_config.json": {"do_lower_case": True},
        "model.safetensors": safetensors({"a": TENSOR}),
    }
    return write(tmp_path / "bert", files)


@pytest.fixture
def keras_bert(tmp_path):
    """A folder in KerasHub's form."""
    import h5py

    files = {
        "config.json": KERAS,
        "tokenizer.json": {
            "module": "keras_hub.src.models.bert.bert_tokenizer",
            "class_name": "BertTokenizer",
            "registered_name": "keras_hub>BertTokenizer",
            "config": {"vocabulary": None, "lowercase": True},
        },
        "assets/tokenizer/vocabulary.txt": "\n".join(WORDS) + "\n",
    }
    folder = write(tmp_path / "keras", files)
    with h5py.File(folder / "model.weights.h5", "w") as file:
        file["layers/one"] = [1.0, 2.0]
    return folder


def test_what_belongs_to_a_backbone_is_taken_and_the_rest_is_left_out(bert):
    more = {"README.md": "# It", "onnx/model.onnx": "x", "pytorch_model.bin": "x"}
    admitted = admit(write(bert, {**more, "run.py": "import os"}))
    assert sorted(admitted.paths) == [
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.txt",
    ]
    assert admitted.left_out == ("README.md", "pytorch_model.bin", "run.py")
    assert (admitted.architecture, admitted.medium) == ("bert", "text")
    assert admitted.licence == ""


def test_the_form_of_keras_hub_is_taken(keras_bert):
    admitted = admit(keras_bert)
    assert "assets/tokenizer/vocabulary.txt" in admitted.paths
    assert admitted.architecture == "bert"


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("---\nlicense: apache-2.0\ntags: [a]\n---\n# It\n", "Apache-2.0"),
        ("---\nlicense: 'mit'\n---\n", "MIT"),
        ("---\nlicense: other-thing\n---\n", "other-thing"),
        ("# It\nlicense: mit\n", ""),
        ("---\ntags: [a]\n---\nlicense: mit\n", ""),
    ],
)
def test_the_licence_is_in_the_front_matter_of_the_readme(bert, text, licence):
    assert admit(write(bert, {"README.md": text})).licence == licence


@pytest.mark.parametrize("name", ["pytorch_model.bin", "w.pt", "weights.pth", "a.pkl"])
def test_weights_that_run_code_are_refused_by_name(bert, name):
    (bert / "model.safetensors").rename(bert / name)
    with pytest.raises(Refusal, match=f"{name} may run code") as info:
        admit(bert)
    assert "safetensors" in info.value.action


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("config.json", "has no config.json"),
        ("model.safetensors", "has no weights"),
        ("vocab.txt", "has no vocabulary: neither vocab.txt, nor"),
    ],
)
def test_what_is_missing_is_named(bert, gone, message):
    (bert / gone).unlink()
    with pytest.raises(UsageError, match=message):
        admit(bert)


def test_the_vocabulary_is_made_from_the_one_file_that_has_it(bert, tmp_path):
    (bert / "vocab.txt").unlink()
    (bert / "tokenizer_config.json").unlink()
    ids = {word: number for number, word in enumerate(WORDS)}
    model = {"type": "WordPiece", "vocab": ids}
    whole = {"model": model, "normalizer": {"lowercase": False}}
    admitted = admit(write(bert, {"tokenizer.json": whole}))
    paths = admitted.copy(tmp_path / "copy")
    assert paths["vocab.txt"].read_text() == "\n".join(WORDS) + "\n"
    assert json.loads(paths["tokenizer_config.json"].read_text()) == {
        "do_lower_case": False
    }
    for other in (
        {"type": "Unigram", "vocab": [["a", 0]]},
        {"type": "WordPiece", "vocab": {"a": 1}},
        {"type": "WordPiece", "vocab": dict.fromkeys(WORDS, 0)},
    ):
        write(bert, {"tokenizer.json": {"model": other}})
        with pytest.raises(UsageError, match="has no vocabulary"):
            admit(bert)


@pytest.mark.parametrize("kind", ["gpt99", "", "../../bert"])
def test_an_unknown_architecture_is_named(bert, kind):
    write(bert, {"config.json": CONFIG | {"model_type": kind}})
    with pytest.raises(UsageError, match="which is not known") as info:
        admit(bert)
    assert "bert" in info.value.action


@pytest.mark.parametrize("file", ["../../x.safetensors", "other.safetensors", None, 3])
def test_an_index_names_only_files_that_are_taken(bert, file):
    index = "model.safetensors.index.json"
    for files in ("model.safetensors", ["model.safetensors"]):
        assert admit(write(bert, {index: {"weight_map": {"a": files}}}))
    write(bert, {index: {"weight_map": {"a": file}}})
    with pytest.raises(Refusal, match="says that weights are in"):
        admit(bert)
    write(bert, {index: {}})
    with pytest.raises(Refusal, match="says that weights are in 'None'"):
        admit(bert)


def test_links_are_refused_also_of_folders(bert, tmp_path):
    secret = tmp_path / "secret.txt"
    (bert / "vocab.txt").rename(secret)
    (bert / "vocab.txt").symlink_to(secret)
    with pytest.raises(Refusal, match=r"vocab\.txt is a link") as info:
        admit(bert)
    assert "cp -rL" in info.value.action
    (bert / "vocab.txt").unlink()
    secret.rename(bert / "vocab.txt")
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "vocabulary.txt").write_text("secret")
    (bert / "assets").symlink_to(tmp_path)
    with pytest.raises(Refusal, match=r"vocabulary\.txt is a link"):
        admit(bert)


def test_json_that_is_damaged_huge_or_no_table_is_refused(bert):
    for data in (b"{", b"[]", b"[" * 100_000, b"\xff"):
        (bert / "tokenizer_config.json").write_bytes(data)
        with pytest.raises(Refusal, match=r"tokenizer_config\.json"):
            admit(bert)
    with (bert / "tokenizer_config.json").open("wb") as file:
        file.truncate(2**26)
    with pytest.raises(Refusal, match="67,108,864 bytes"):
        admit(bert)
