import { expect, test } from "vitest";
import { memorySource } from "../../src/sources/filesystem/byte-source.ts";
import { readXlsx, type XlsxOptions } from "../../src/sources/filesystem/xlsx.ts";
import { boolCell, dateCell, errorCell, formulaCell, workbook, type XlsxCell } from "../support/xlsx.ts";

const read = async (sheets: Record<string, XlsxCell[][]> | Buffer, options: XlsxOptions = {}) => {
  const bytes = Buffer.isBuffer(sheets) ? sheets : workbook(sheets);
  const lines: string[] = [];
  for await (const page of readXlsx(memorySource("book.xlsx", bytes), options)) {
    lines.push(...Buffer.from(page.bytes).toString().split("\n").slice(0, -1));
  }
  return lines;
};

test("cells are what the spreadsheet program stored: results of formulas, dates, booleans, errors as nothing", async () => {
  expect(
    await read({
      Sheet1: [
        ["id", "day", "paid", "total", "bad"],
        [1, dateCell(45323), boolCell(true), formulaCell("A2*2", "2.5"), errorCell],
        [2, dateCell(45324), boolCell(false), formulaCell("A3*2", "4"), errorCell],
      ],
    }),
  ).toEqual([
    '{"id":1,"day":"\uf0282024-02-01","paid":true,"total":2.5}',
    '{"id":2,"day":"\uf0282024-02-02","paid":false,"total":4.0}',
  ]);
});

test("a date with a time makes its column one of timestamps", async () => {
  expect(await read({ S: [["at"], [dateCell(45323)], [dateCell(45323.5)]] })).toEqual([
    '{"at":"\uf0272024-02-01T00:00:00.000+00:00"}',
    '{"at":"\uf0272024-02-01T12:00:00.000+00:00"}',
  ]);
});

test("a column of text and numbers is text, with its leading zeros", async () => {
  expect(await read({ S: [["zip"], ["007"], [12]] })).toEqual(['{"zip":"007"}', '{"zip":"12"}']);
});

test("blank rows and cells are left out, and lines keep the numbers of the rows", async () => {
  expect(await read({ S: [["a", "b"], [1], [], [undefined, "x"]] })).toEqual(['{"a":1}', "", '{"b":"x"}']);
});

test("a sheet is chosen by name or number; one that is not there is named with those that are", async () => {
  const sheets = { First: [["a"], [1]], Second: [["a"], [2]] };
  expect(await read(sheets)).toEqual(['{"a":1}']);
  expect(await read(sheets, { sheet: "Second" })).toEqual(['{"a":2}']);
  expect(await read(sheets, { sheet: 2, header: false })).toEqual(['{"column_0":"a"}', '{"column_0":"2"}']);
  await expect(read(sheets, { sheet: "Third" })).rejects.toMatchObject({
    code: "FILE_FORMAT",
    details: { sheets: ["First", "Second"] },
  });
});

test("repeated and empty headers get names of their own", async () => {
  expect(
    await read({
      S: [
        ["a", "a", ""],
        [1, 2, 3],
      ],
    }),
  ).toEqual(['{"a":1,"a_1":2,"column_2":3}']);
});

test("what is no workbook, or larger than the bound, is FILE_FORMAT", async () => {
  await expect(read(Buffer.from("a,b\n1,2\n"))).rejects.toMatchObject({ code: "FILE_FORMAT" });
  await expect(read({ S: [["a"], [1]] }, { fileBytesMax: 100 })).rejects.toMatchObject({
    code: "FILE_FORMAT",
    details: { bytes_max: 100 },
  });
});
