// The page of sliding windows: how likely a model is to continue each part of a text as the text does.
import { Chart } from "site/chart";
import type { Column } from "site/columns";
import { count, decimal, percent, plural, visible } from "site/format";
import { Loaded } from "site/loaded";
import { Figure, type Page, type ViewProps } from "site/page";
import { href } from "site/route";
import { Table } from "site/table";
import { probability, statistics, type Passage, type Statistics } from "sliding/data";
import { Book } from "sliding/book";

function Summary({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => statistics(entry)}>
      {(s) => (
        <>
          {[...(s.warnings ?? []), ...(s.notes ?? [])].length > 0 && <ul class="warnings">{[...(s.warnings ?? []), ...(s.notes ?? [])].map((n) => <li>{n}</li>)}</ul>}
          <dl class="figures">
            <Figure title="Largest probability" value={probability(s.maxLogP)} note={`of ${count(s.windows)} windows`} />
            <Figure title="Continued greedily" value={percent(s.greedyShare)} note={plural(s.greedy, "window")} />
            <Figure title="Memorized passages" value={count(s.memorizedPassages)} note={`${count(s.easyPassages)} more are easy without a prompt`} />
            <Figure title="Text" value={count(s.characters)} note={`characters of ${plural(s.texts, "text")}`} />
          </dl>
          <Book entry={entry} statistics={s} />
        </>
      )}
    </Loaded>
  );
}

function Passages({ entry }: ViewProps) {
  const columns: Column<Passage>[] = [
    { key: "start", title: "Passage", value: (p) => p.start, text: (p) => `${p.shard}, characters ${count(p.start)} to ${count(p.end)}` },
    { key: "logP", title: "Largest probability", number: true, value: (p) => p.peak.logP, text: (p) => probability(p.peak.logP) },
    { key: "logPWithoutPrompt", title: "Without the prompt", number: true, value: (p) => p.peak.logPWithoutPrompt, text: (p) => probability(p.peak.logPWithoutPrompt) },
    { key: "greedy", title: "Greedy", value: (p) => (p.peak.greedy ? "yes" : "no") },
    { key: "easy", title: "Easy", value: (p) => (p.peak.easy ? "yes" : "no"), help: "nearly as likely without the prompt" },
    { key: "windows", title: "Windows", number: true, value: (p) => p.windows, text: (p) => count(p.windows) },
    { key: "prompt", title: "Prompt", value: (p) => p.peak.promptText, cell: (p) => <code>{visible(p.peak.promptText)}</code> },
    { key: "suffix", title: "Continuation", value: (p) => p.peak.suffixText, cell: (p) => <code>{visible(p.peak.suffixText)}</code> },
  ];
  return (
    <Loaded of={entry.id} load={() => statistics(entry)}>
      {(s) => <Table name="passages" rows={s.passages ?? []} columns={columns} sort="-logP" none="No window is likely enough: nothing is memorized." words={(p) => [p.shard, p.peak.promptText, p.peak.suffixText].join("\n")} href={(p) => href(entry.id, { document: p.document, at: p.peak.suffix })} />}
    </Loaded>
  );
}

interface Threshold {
  p: number;
  windows: number;
  share: number;
  easy: number;
  characters: number;
  character_share: number;
}

function Histogram({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => statistics(entry)}>
      {(s: Statistics) => {
        const bins = s.histogram ?? [];
        const columns: Column<Threshold>[] = [
          { key: "p", title: "Probability at least", number: true, value: (t) => t.p, text: (t) => t.p.toPrecision(2) },
          { key: "windows", title: "Windows", number: true, value: (t) => t.windows, text: (t) => count(t.windows) },
          { key: "share", title: "Share", number: true, value: (t) => t.share, text: (t) => percent(t.share) },
          { key: "easy", title: "Easy", number: true, value: (t) => t.easy, text: (t) => count(t.easy) },
          { key: "characters", title: "Characters", number: true, value: (t) => t.characters, text: (t) => count(t.characters) },
          { key: "character_share", title: "Share", unit: "of characters", number: true, value: (t) => t.character_share, text: (t) => percent(t.character_share) },
        ];
        return (
          <>
            <Chart title="Windows by the decimal logarithm of the probability of their continuation" x={{ name: "log10 of the probability", values: bins.map((b) => b.low) }} y={{ name: "windows" }}
              lines={[{ name: "after the prompt", values: bins.map((b) => b.windows) }, { name: "without the prompt", values: bins.map((b) => b.without_prompt) }]} />
            <Table name="thresholds" rows={s.thresholds ?? []} columns={columns} sort="p" />
            <p class="hint">Mean log10 of the probability {decimal(s.meanLogP / Math.LN10, 2)}, without the prompt {decimal(s.meanLogPWithoutPrompt / Math.LN10, 2)}.</p>
          </>
        );
      }}
    </Loaded>
  );
}

export const page: Page = {
  subtitle: () => "The probability that the model continues a prompt from the text exactly as the text does, at every position.",
  tabs: [
    { id: "text", title: "Strip and text", view: Summary },
    { id: "passages", title: "Passages", view: Passages },
    { id: "probabilities", title: "Probabilities", view: Histogram },
  ],
};
