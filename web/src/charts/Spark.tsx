// The small history beside a big number.

import { useMemo } from "react";
import { X } from "../state/series";
import type { Cell } from "../wire/types";
import { Plot } from "./Plot";
import type { Token } from "./palette";
import { sparkOptions } from "./spec";

interface Props {
  cells: Cell[];
  token: Token;
  leastTop: number;
  mostTop?: number | undefined;
  /** Line width in CSS pixels. */
  width?: number;
}

export function Spark({ cells, token, leastTop, mostTop, width = 1.5 }: Props) {
  const data = useMemo<[number[], Cell[]]>(() => [X, cells], [cells]);
  return <Plot options={(size) => sparkOptions(token, { leastTop, mostTop }, width, size)} data={data} />;
}
