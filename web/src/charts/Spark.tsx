// The small history beside a big number.

import { useMemo, useRef } from "react";
import { type Part, X } from "../state/series";
import type { Cell } from "../wire/types";
import { Plot } from "./Plot";
import type { Token } from "./palette";
import { sparkOptions } from "./spec";

interface Props {
  cells: Cell[];
  /** Where somebody's counts are missing. */
  parts: Part[];
  token: Token;
  leastTop: number;
  mostTop?: number | undefined;
  /** Line width in CSS pixels. */
  width?: number;
}

export function Spark({ cells, parts, token, leastTop, mostTop, width = 1.5 }: Props) {
  const missing = useRef(parts);
  missing.current = parts;
  const data = useMemo<[number[], Cell[]]>(() => [X, cells], [cells]);
  return (
    <Plot
      options={(size) => sparkOptions(token, { leastTop, mostTop }, width, size, () => missing.current)}
      data={data}
    />
  );
}
