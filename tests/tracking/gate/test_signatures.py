"""Ways to open a gate that trusts a key, without an evaluation that this key signed."""

import base64
import json
import uuid
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from evalguard.core.policy import Verdict
from evalguard.errors import ConfigError
from evalguard.tracking.gate.gate import gate
from evalguard.tracking.mlflow_sink import MlflowSink
from evalguard.tracking.signing import new_key, sign, signing_key, trusted_keys, unverified
from evalguard.tracking.slots import FIELDS
from evalguard.tracking.target import Target
from tests.tracking.records import FAILED, Store, now_ms, report, write

MODEL = "models:/digits/3"


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    private, _, _ = new_key(tmp_path_factory.mktemp("keys") / "ci.pem")
    return private


@pytest.fixture(scope="module")
def other_key(tmp_path_factory):
    private, _, _ = new_key(tmp_path_factory.mktemp("keys") / "other.pem")
    return private


@pytest.fixture(params=["embedded", pytest.param("server", marks=pytest.mark.slow)])
def store(request):
    uri = request.getfixturevalue("mlflow_store" if request.param == "embedded" else "mlflow_server")
    # A separate experiment for each test, because the chain goes through all runs of one.
    name = f"chain-{uuid.uuid4().hex}"
    MlflowClient(tracking_uri=uri).create_experiment(name)
    return Store(uri, name)


def signed(store, key, judged=None, *, run=None, model="", name="digits"):
    """A run with one signed evaluation, and the digest of its record."""
    run = run or store.run()
    sink = MlflowSink(Target(store.uri, run, model), 90.0, signing_key=key)
    write(sink, judged or report(), name)
    return run, sink.head


def ask(store, key, run, **question):
    return gate(run=run, tracking_uri=store.uri, trust=f"{key}.pub", **question)


def tag(store, run, field, slot="digits"):
    return store.tags(run)[f"evalguard.{slot}.{field}"]


def stated(store, run):
    """What was signed in a run."""
    found = unverified(tag(store, run, "envelope"))
    assert found is not None
    return found[0]


def set_tag(store, run, field, value, slot="digits"):
    store.client.set_tag(run, f"evalguard.{slot}.{field}", value)


# -- What opens --


def test_a_signed_pass_opens_with_the_key_and_its_digest_as_head(store, key):
    run, head = signed(store, key)
    result = ask(store, key, run, head=head)
    assert result, result.reasons
    assert result.notes == ()
    assert len(result.evaluations[0].signature) == 64


def test_without_a_head_the_outcome_says_what_it_cannot_know(store, key):
    run, _ = signed(store, key)
    result = ask(store, key, run)
    assert result
    assert "a later record may have been deleted" in result.notes[0]


def test_one_of_several_keys_is_enough(store, key, other_key):
    run, _ = signed(store, key)
    keys = [f"{other_key}.pub", f"{key}.pub"]
    assert gate(run=run, tracking_uri=store.uri, trust=keys)
    assert not gate(run=run, tracking_uri=store.uri, trust=keys[:1])
    assert gate(run=run, tracking_uri=store.uri, trust_dir=key.parent)


def test_without_trust_a_signature_is_not_asked_for_and_not_verified(store, key):
    run, _ = signed(store, key)
    assert gate(run=run, tracking_uri=store.uri).evaluations[0].signature == "not verified"
    plain = store.run()
    write(store.sink(plain), report())
    assert gate(run=plain, tracking_uri=store.uri).evaluations[0].signature == "unsigned"


def test_the_key_may_be_the_text_in_the_environment(store, key, monkeypatch):
    monkeypatch.setenv("EVALGUARD_SIGNING_KEY", key.read_text())
    run, _ = signed(store, None)
    assert ask(store, key, run)
    monkeypatch.setenv("EVALGUARD_SIGNING_KEY", str(key))
    run, _ = signed(store, None)
    assert ask(store, key, run)


def test_a_record_that_is_too_long_for_a_tag_is_read_from_its_file(store, key, monkeypatch):
    monkeypatch.setattr("evalguard.tracking.record.MAX_ENVELOPE", 100)
    run, head = signed(store, key)
    assert tag(store, run, "envelope") == "file"
    assert ask(store, key, run, head=head)


def test_a_chain_over_several_runs_opens_with_the_newest_as_head(store, key):
    first, one = signed(store, key)
    second, two = signed(store, key)
    assert stated(store, second)["previous"] == one
    for run in (first, second):
        assert ask(store, key, run, head=two)


def test_an_evaluation_that_is_made_again_in_one_run_leaves_no_gap(store, key, monkeypatch):
    run, first = signed(store, key, report(FAILED))
    # As in another process.
    monkeypatch.setattr("evalguard.tracking.mlflow_sink._used_slots", {})
    _, second = signed(store, key, run=run)
    third, head = signed(store, key)
    assert stated(store, run)["replaced"] == {first: ""}
    assert stated(store, third)["previous"] == second
    assert ask(store, key, run, head=[first, second, head]), ask(store, key, run, head=head).reasons
    assert ask(store, key, third, head=head)


def test_a_report_that_confirm_replaces_leaves_no_gap(store, key):
    run = store.run()
    sink = MlflowSink(Target(store.uri, run, ""), 90.0, signing_key=key)
    write(sink, report())
    before = sink.head
    judged = report()
    sink.replace(0, judged, {"report.json": judged.to_json().encode()})
    assert list(stated(store, run)["replaced"]) == [before]
    sink.replace(0, judged, {"report.json": judged.to_json().encode()})
    assert ask(store, key, run, head=sink.head), ask(store, key, run).reasons


def test_jobs_side_by_side_fork_the_chain_and_close_nothing(store, key):
    signed(store, key)
    sinks = [MlflowSink(Target(store.uri, store.run(), ""), 90.0, signing_key=key) for _ in range(2)]
    for sink in sinks:
        sink.begin("digits")
    for sink in sinks:
        sink.write(report(), {"report.json": report().to_json().encode()})
    last, head = signed(store, key)
    for run in (*(sink.target.run_id for sink in sinks), last):
        assert ask(store, key, run, head=head), ask(store, key, run).reasons


# -- What does not open --


def test_a_bad_verdict_needs_no_signature_to_close(store, key):
    run = store.run()
    write(store.sink(run), report(FAILED))
    assert "the verdict is FAIL" in ask(store, key, run).reasons[0]


def test_an_unsigned_pass(store, key):
    run = store.run()
    write(store.sink(run), report())
    assert "it is not signed" in ask(store, key, run).reasons[0]


def test_a_pass_that_another_key_signed(store, key, other_key):
    run, _ = signed(store, other_key)
    assert "signed by no trusted key" in ask(store, key, run).reasons[0]


def test_an_edited_tag(store, key):
    run, _ = signed(store, key)
    for field in sorted(set(FIELDS) - {"record", "envelope", "model"}):
        before = tag(store, run, field) if f"evalguard.digits.{field}" in store.tags(run) else None
        other = str(now_ms() - 5) if field.endswith("_ms") else "REPAIRED"
        set_tag(store, run, field, other)
        assert not ask(store, key, run, accept=["REPAIRED"]), field
        if before is None:
            store.client.delete_tag(run, f"evalguard.digits.{field}")
        else:
            set_tag(store, run, field, before)
    assert ask(store, key, run)


def test_a_deleted_tag_of_a_fail(store, key):
    run, _ = signed(store, key, report(FAILED))
    for name, value in store.tags(run).items():
        if name.startswith("evalguard.digits."):
            store.client.delete_tag(run, name)
            assert not ask(store, key, run), name
            store.client.set_tag(run, name, value)


def test_a_fail_that_is_edited_to_a_pass(store, key):
    run, _ = signed(store, key, report(FAILED))
    good, _ = signed(store, key)
    for field in ("verdict", "reason", "cause", "counts", "proof", "checked_at_ms", "began_at_ms"):
        set_tag(store, run, field, store.tags(good).get(f"evalguard.digits.{field}", ""))
        assert not ask(store, key, run), field


def test_a_signature_that_is_stripped(store, key):
    run, _ = signed(store, key)
    store.client.delete_tag(run, "evalguard.digits.envelope")
    assert "it is not signed" in ask(store, key, run).reasons[0]


def resigned(envelope, change, key=None):
    """The envelope with a changed payload, and the old signature or that of another key."""
    data = json.loads(envelope)
    payload = change(json.loads(base64.b64decode(data["payload"])))
    if key is not None:
        return sign(payload, signing_key(key))[0]
    data["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    return json.dumps(data)


CHANGES = {
    "a later time": lambda payload: {**payload, "checked_at_ms": payload["checked_at_ms"] + 1},
    "another run": lambda payload: {**payload, "run_id": "0" * 32},
    "another digest of the report": lambda payload: {**payload, "files": {}},
    "no record before it": lambda payload: {**payload, "previous": ""},
    "a list": lambda payload: [payload],
}


@pytest.mark.parametrize("by", ["nobody", "another key"])
def test_a_changed_payload(store, key, other_key, by):
    run, _ = signed(store, key)
    before = tag(store, run, "envelope")
    for name, change in CHANGES.items():
        set_tag(store, run, "envelope", resigned(before, change, other_key if by == "another key" else None))
        assert not ask(store, key, run), name


def test_an_envelope_that_cannot_be_read(store, key):
    run, _ = signed(store, key)
    for text in ("{}", "[]", "null", "file", "x" * 4000, '{"payloadType": 1, "payload": "", "signatures": []}'):
        set_tag(store, run, "envelope", text)
        store.client.log_text(run, text, "evalguard/digits/envelope.json")
        assert not ask(store, key, run), text


def test_an_envelope_of_another_kind(store, key):
    run, _ = signed(store, key)
    data = json.loads(tag(store, run, "envelope"))
    set_tag(store, run, "envelope", json.dumps({**data, "payloadType": "text/plain"}))
    assert "of another kind" in ask(store, key, run).reasons[0]


def test_no_signature_in_the_envelope(store, key):
    run, _ = signed(store, key)
    data = json.loads(tag(store, run, "envelope"))
    set_tag(store, run, "envelope", json.dumps({**data, "signatures": []}))
    assert "signed by no trusted key" in ask(store, key, run).reasons[0]


def test_a_fail_in_a_nested_run_that_no_longer_names_its_parent(store, key):
    parent, _ = signed(store, key)
    nested = store.run(**{"mlflow.parentRunId": parent})
    _, head = signed(store, key, report(FAILED), run=nested, name="nested")
    store.client.delete_tag(nested, "mlflow.parentRunId")
    result = ask(store, key, parent, head=head)
    assert f"nested in run {nested} is signed, and its tags do not show it" in " ".join(result.reasons)


def test_a_record_that_is_copied_to_another_run(store, key):
    run, _ = signed(store, key)
    copy = store.run(**{name: value for name, value in store.tags(run).items() if name.startswith("evalguard.")})
    result = ask(store, key, copy)
    assert "its record belongs to digits in run" in " ".join(result.reasons)
    # The run that it was copied from says so, too: nobody knows which one was meant.
    assert "is in 2 places" in " ".join(ask(store, key, run).reasons)


@pytest.mark.parametrize(
    ("slot", "why"), [("letters", "its record belongs to digits in run"), ("digits-2", "is in 2 places")]
)
def test_a_record_that_is_copied_inside_its_run(store, key, slot, why):
    run, _ = signed(store, key)
    for name, value in store.tags(run).items():
        if name.startswith("evalguard.digits."):
            store.client.set_tag(run, name.replace(".digits.", f".{slot}."), value)
    assert why in " ".join(ask(store, key, run).reasons)


def test_a_fail_that_is_deleted_from_between_two_passes(store, key):
    signed(store, key)
    failed, missing = signed(store, key, report(FAILED))
    last, head = signed(store, key)
    assert ask(store, key, last, head=head)
    store.client.delete_run(failed)
    result = ask(store, key, last, head=head)
    assert f"the record {missing} before that of digits is not there" in result.reasons[0]
    assert ask(store, key, last, head=head, deleted=[missing])
    store.client.restore_run(failed)
    assert ask(store, key, last, head=head)


@pytest.mark.parametrize("how", ["tags", "envelope", "slot"])
def test_a_fail_whose_tags_are_taken_away(store, key, how):
    failed, _ = signed(store, key, report(FAILED))
    last, head = signed(store, key)
    for name in list(store.tags(failed)):
        if (
            name.startswith("evalguard.")
            and (how == "tags" or name.startswith("evalguard.digits."))
            and (how != "envelope" or name.endswith(".envelope"))
        ):
            store.client.delete_tag(failed, name)
    assert not ask(store, key, last, head=head)


def test_a_fail_that_is_the_newest_and_deleted_is_seen_by_its_digest_alone(store, key):
    first, _ = signed(store, key)
    failed, head = signed(store, key, report(FAILED))
    store.client.delete_run(failed)
    assert f"the record {head} (head) is not there" in ask(store, key, first, head=head).reasons[0]
    # What the gate cannot know, it says.
    assert "a later record may have been deleted" in ask(store, key, first).notes[0]


def test_a_fail_that_is_put_where_the_next_record_is_written(store, key):
    failed, _ = signed(store, key, report(FAILED))
    # The next evaluation takes the place of what it finds in its run.
    run = store.run(**{"evalguard.digits.envelope": tag(store, failed, "envelope")})
    _, head = signed(store, key, run=run)
    assert stated(store, run)["replaced"] == {}
    store.client.delete_run(failed)
    assert not ask(store, key, run, head=head)


def test_a_newest_record_named_by_hand_makes_no_gap_go_away(store, key):
    _, first = signed(store, key)
    failed, _ = signed(store, key, report(FAILED))
    last, head = signed(store, key)
    experiment = store.client.get_run(last).info.experiment_id
    store.client.set_experiment_tag(experiment, "evalguard.head.digits", f"1 {first}")
    store.client.delete_run(failed)
    assert not ask(store, key, last, head=head)


def test_what_is_written_in_the_docs_is_not_stopped(store, key):
    _, first = signed(store, key)
    failed, hidden = signed(store, key, report(FAILED))
    experiment = store.client.get_run(failed).info.experiment_id
    # The next record names the first one as the one before it.
    store.client.set_experiment_tag(experiment, "evalguard.head.digits", f"1 {first}")
    last, head = signed(store, key)
    store.client.delete_run(failed)
    assert ask(store, key, last, head=head)
    # With every digest that was printed it is seen.
    assert not ask(store, key, last, head=[first, hidden, head])


def test_a_clock_in_the_future(store, key):
    run, _ = signed(store, key, replace(report(), checked_at_ms=now_ms() + 3_600_000))
    assert "in the future" in ask(store, key, run).reasons[0]


def test_a_weaker_proof_or_other_labels_stay_closed(store, key):
    run, _ = signed(store, key, replace(report(), proof="transport"))
    assert "weaker than labels" in ask(store, key, run).reasons[0]
    run, _ = signed(store, key)
    assert "no evaluation on labels" in ask(store, key, run, labels_digest="0" * 16).reasons[0]


def test_a_repaired_verdict_is_accepted_where_it_is_asked_for(store, key):
    run, _ = signed(store, key, replace(report(), verdict=Verdict.REPAIRED, repair={"summary": "reordered"}))
    assert not ask(store, key, run)
    assert ask(store, key, run, accept=["REPAIRED"])


# -- Keys and options --


def test_a_key_is_never_overwritten(tmp_path):
    private, public, name = new_key(tmp_path / "k.pem")
    assert private.stat().st_mode & 0o777 == 0o600
    assert list(trusted_keys([public])) == [name]
    text = private.read_text()
    for file in (private, public):
        with pytest.raises(ConfigError, match=r"found .*; choose another name"):
            new_key(tmp_path / "k.pem")
        file.unlink()
        file.write_text("mine")
    assert text.startswith("-----BEGIN PRIVATE KEY-----")


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_named_before_anything_is_evaluated(tmp_path, text):
    file = tmp_path / "key.pem"
    file.write_text(text)
    with pytest.raises(ConfigError, match="expected an ed25519 private key"):
        signing_key(file)
    with pytest.raises(ConfigError, match="expected an ed25519 public key"):
        trusted_keys([file])
    with pytest.raises(ConfigError, match="expected an ed25519 private key"):
        signing_key(tmp_path / "missing.pem")


@pytest.mark.parametrize(
    "text",
    ["-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----", "c2VjcmV0", '"-----BEGIN c2VjcmV0"'],
    ids=["damaged", "without its frame", "quoted"],
)
def test_the_error_does_not_repeat_a_secret(monkeypatch, text):
    monkeypatch.setenv("EVALGUARD_SIGNING_KEY", text)
    with pytest.raises(ConfigError) as caught:
        signing_key()
    assert "c2VjcmV0" not in str(caught.value)
    assert "EVALGUARD_SIGNING_KEY" in str(caught.value)
    assert caught.value.__cause__ is None


def test_another_kind_of_key_is_named(tmp_path):
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private, public = tmp_path / "ec.pem", tmp_path / "ec.pub"
    private.write_bytes(key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(ConfigError, match="found ECPrivateKey"):
        signing_key(private)
    with pytest.raises(ConfigError, match="found ECPublicKey"):
        trusted_keys([public])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "0" * 64}, "expected `head` and `deleted` with `trust`"),
        ({"deleted": ["0" * 64]}, "expected `head` and `deleted` with `trust`"),
        ({"trust_dir": "."}, r"expected public keys \*.pub in"),
    ],
)
def test_options_that_do_not_go_together(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        gate(run="r", tracking_uri="sqlite:///x.db", **options)


def test_trust_takes_a_digest_in_full_and_no_attestation(key):
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        gate(run="r", trust=f"{key}.pub", head="5f0c")
    with pytest.raises(ConfigError, match="verify an attestation with the tool"):
        gate(attestation="a.json", files=["x.npy"], trust=f"{key}.pub")
