// The tokens that are hardest for one of the models.
import type { Column } from "site/columns";
import { count, decimal, visible } from "site/format";
import { Loaded } from "site/loaded";
import type { ViewProps } from "site/page";
import { Table } from "site/table";
import { details, type Token } from "scaling/data";

export function Tokens({ entry }: ViewProps) {
  return (
    <Loaded of={entry.id} load={() => details(entry)}>
      {(s) => {
        const tokens = s.hardestTokens ?? [];
        const first = s.gain?.[0];
        const columns: (Column<Token> | false)[] = [
          { key: "text", title: "Token", value: (t) => t.text, cell: (t) => <code>{visible(t.text)}</code> },
          { key: "id", title: "ID", number: true, value: (t) => t.id },
          { key: "count", title: "Occurrences", number: true, value: (t) => t.count, text: (t) => count(t.count) },
          { key: "nats", title: "Loss", unit: "nats in total", number: true, value: (t) => t.nats, text: (t) => decimal(t.nats, 1) },
          { key: "rankByTotal", title: "Rank", unit: "by total", number: true, value: (t) => t.rankByTotal, text: (t) => count(t.rankByTotal) },
          { key: "meanNats", title: "Loss", unit: "nats, mean", number: true, value: (t) => t.meanNats, text: (t) => decimal(t.meanNats) },
          { key: "rankByMean", title: "Rank", unit: "by mean", number: true, value: (t) => t.rankByMean, text: (t) => count(t.rankByMean) },
          first !== undefined && { key: "firstMeanNats", title: first, unit: "nats, mean", number: true, value: (t) => t.firstMeanNats, text: (t) => decimal(t.firstMeanNats) },
        ];
        if (tokens.length === 0) return <p>No token is listed.</p>;
        return (
          <>
            <p class="hint">The tokens with the highest loss for <b>{tokens[0]!.model}</b>: in total, and on average of at least 10 occurrences.</p>
            <Table name="tokens" rows={tokens} columns={columns.filter((c) => c !== false)} sort="-nats" />
          </>
        );
      }}
    </Loaded>
  );
}
