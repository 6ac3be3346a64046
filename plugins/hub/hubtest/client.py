"""Reads repositories of a test hub with huggingface_hub, and prints what it found as JSON."""

import json
import os
import sys
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError


def refusal(call, *arguments, **options):
    """Return the name of the error of a call."""
    try:
        call(*arguments, **options)
    except (EntryNotFoundError, GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as e:
        return type(e).__name__
    return "none"


def contents(root):
    """Return the paths of the files below a directory, and their sizes."""
    return {str(p.relative_to(root)): p.stat().st_size for p in sorted(Path(root).rglob("*")) if p.is_file()}


def download():
    """Download two snapshots and a file."""
    model, data = snapshot_download("org/tiny"), snapshot_download("org/text", repo_type="dataset", revision="refs/convert/parquet")
    one = hf_hub_download("org/gated", "m.gguf", token=os.environ["TEST_TOKEN"])
    return {"model": contents(model), "dataset": contents(data), "gated": os.path.getsize(one), "paths": [model, data]}


def listing():
    """List repositories, files, branches and refusals."""
    api = HfApi()
    tree = api.list_repo_tree("org/tiny", recursive=True)
    refs = api.list_repo_refs("org/text", repo_type="dataset")
    return {
        "datasets": sorted(d.id for d in api.list_datasets()),
        "files": api.list_repo_files("org/text", repo_type="dataset"),
        "sha": api.dataset_info("org/text").sha,
        "tree": {f.path: f.lfs.sha256 if f.lfs else f.blob_id for f in tree if hasattr(f, "blob_id")},
        "converts": [r.target_commit for r in refs.converts],
        "refusals": [
            refusal(hf_hub_download, "org/gated", "m.gguf"),
            refusal(api.model_info, "org/private"),
            refusal(hf_hub_download, "org/tiny", "none.json"),
            refusal(hf_hub_download, "org/tiny", "config.json", revision="v9"),
        ],
    }


print(json.dumps({"download": download, "listing": listing}[sys.argv[1]]()))
