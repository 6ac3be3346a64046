// Every score with its ledger and its noise.
import type { Column } from "site/columns";
import { count, decimal } from "site/format";
import { Loaded } from "site/loaded";
import type { ViewProps } from "site/page";
import { Table } from "site/table";
import { scores, tooSmall, type Score } from "score/data";

const columns: Column<Score>[] = [
  { key: "dataset", title: "Dataset", value: (s) => s.dataset },
  { key: "model", title: "Model", value: (s) => s.model },
  { key: "bpb", title: "Bits per byte", number: true, value: (s) => s.bpb, text: (s) => decimal(s.bpb) },
  { key: "bpb_low", title: "95% interval", number: true, value: (s) => s.bpb_low, text: (s) => (s.bpb_low === null ? "–" : `[${decimal(s.bpb_low)}, ${decimal(s.bpb_high)}]${tooSmall(s) ? ", too small" : ""}`), help: "too small: fewer than 20 documents or 2,000 bytes, whose interval can be far off" },
  { key: "perplexity_per_token", title: "Perplexity", unit: "per token", number: true, value: (s) => s.perplexity_per_token, text: (s) => decimal(s.perplexity_per_token, 2) },
  { key: "documents", title: "Documents", number: true, value: (s) => s.documents, text: (s) => count(s.documents) },
  { key: "scored_bytes", title: "Bytes", unit: "scored", number: true, value: (s) => s.scored_bytes, text: (s) => count(s.scored_bytes) },
  { key: "scored_tokens", title: "Tokens", unit: "scored", number: true, value: (s) => s.scored_tokens, text: (s) => count(s.scored_tokens) },
  { key: "ledger_token_nats", title: "Ledger", unit: "tokens, nats", number: true, help: "the losses of all tokens: the sum of the columns at the right", value: (s) => s.ledger_token_nats, text: (s) => decimal(s.ledger_token_nats, 1) },
  { key: "ledger_span_nats", title: "Span", unit: "nats", number: true, value: (s) => s.ledger_span_nats, text: (s) => decimal(s.ledger_span_nats, 1) },
  { key: "ledger_outside_nats", title: "Outside", unit: "nats", number: true, value: (s) => s.ledger_outside_nats, text: (s) => decimal(s.ledger_outside_nats, 1) },
  { key: "ledger_eos_nats", title: "End", unit: "nats", number: true, value: (s) => s.ledger_eos_nats, text: (s) => decimal(s.ledger_eos_nats, 1) },
  { key: "ledger_no_bytes_nats", title: "No bytes", unit: "nats", number: true, value: (s) => s.ledger_no_bytes_nats, text: (s) => decimal(s.ledger_no_bytes_nats, 1) },
  { key: "unscored_bytes", title: "Unscored", unit: "bytes", number: true, value: (s) => s.unscored_bytes, text: (s) => count(s.unscored_bytes) },
  { key: "noise_bpb", title: "Noise", unit: "bits per byte", number: true, help: "the largest change when documents were scored again in a different batch", value: (s) => s.noise_bpb, text: (s) => decimal(s.noise_bpb, 6) },
  { key: "key", title: "Key", value: (s) => s.key, cell: (s) => <code>{s.key.slice(0, 12)}</code> },
];

export function Scores({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => scores(entry)}>
      {(all) => <Table name="scores" rows={all} columns={columns} sort="dataset" bytes={(s) => s.scored_bytes} words={(s) => [s.dataset, s.model, ...s.tags].join("\n")} />}
    </Loaded>
  );
}
