// A chart in its card: title with unit, legend with the values of now or under the crosshair, axes, and a sentence
// for those who do not see it.

import { type ReactNode, useMemo, useRef, useSyncExternalStore } from "react";
import { clock, NOTHING } from "../state/format";
import { type Part, X } from "../state/series";
import { partSaid } from "../state/summary";
import type { Cell } from "../wire/types";
import { getCrosshair, subscribeCrosshair } from "./crosshair";
import { Plot } from "./Plot";
import { type ChartSpec, chartOptions, type Names } from "./spec";

interface Props {
  title: string;
  unit: string;
  spec: ChartSpec;
  /** One column a line of the spec: what is drawn. */
  drawn: Cell[][];
  /** What the legend says for each line; the drawn columns unless lines are stacked. */
  said?: Cell[][];
  /** Where somebody's counts are missing. */
  parts: Part[];
  format: (value: number) => string;
  /** The newest tick, and what the axis calls it. */
  tick: number | undefined;
  end: string;
  summary: string;
  children?: ReactNode;
}

export function Chart({
  title,
  unit,
  spec,
  drawn,
  said = drawn,
  parts,
  format,
  tick,
  end,
  summary,
  children,
}: Props) {
  const names = useRef({ end, tick, parts });
  names.current = { end, tick, parts };
  // biome-ignore lint/correctness/useExhaustiveDependencies: the columns are the data; their list is new each time
  const data = useMemo<[number[], ...Cell[][]]>(() => [X, ...drawn], drawn);

  const spoken: Names = {
    end: () => names.current.end,
    at: (entry) => {
      const { tick, parts } = names.current;
      if (tick === undefined) return "";
      const part = parts[entry];
      return clock(tick + (X[entry] ?? 0)) + (part ? `, ${partSaid(part)}` : "");
    },
    parts: () => names.current.parts,
  };

  return (
    <figure className="card chart" aria-label={summary}>
      <figcaption>
        <h2>
          {title} <span className="unit">{unit}</span>
        </h2>
        <Legend spec={spec} said={said} format={format} />
      </figcaption>
      <Plot options={(size) => chartOptions(spec, size, spoken)} data={data} mark={end} />
      {children}
    </figure>
  );
}

interface LegendProps {
  spec: ChartSpec;
  said: Cell[][];
  format: (value: number) => string;
}

function Legend({ spec, said, format }: LegendProps) {
  const crosshair = useSyncExternalStore(subscribeCrosshair, getCrosshair);
  const entry = crosshair ?? X.length - 1;
  return (
    <dl className="legend">
      {[...spec.lines.keys()].reverse().map((i) => {
        const line = spec.lines[i];
        // A band that has nothing in the whole span is not in the picture either.
        if (!line || (line.stacked && !said[i]?.some((cell) => (cell ?? 0) > 0))) return null;
        const value = said[i]?.[entry];
        return (
          <div key={line.name}>
            <dt>
              <i
                className={`swatch ${line.token}${line.dash ? " dashed" : ""}${line.width < 1.5 && !line.stacked ? " thin" : ""}`}
              />
              {line.name}
            </dt>
            <dd>{value === null || value === undefined ? NOTHING : format(value)}</dd>
          </div>
        );
      })}
    </dl>
  );
}
