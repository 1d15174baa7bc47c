/**
 * Comments in a JSON file: `//` to the end of the line, and between slash-star and star-slash. They become spaces, so that a parser's
 * line and column stay those of the file.
 */

/** A string, or a comment. A string that does not end is left for the parser to place. */
const stringsAndComments = /"(?:[^"\\\n]|\\.)*"|\/\/[^\n]*|\/\*[^]*?\*\//g

export const withoutComments = (text: string): string =>
  text.replaceAll(stringsAndComments, (found) =>
    found.startsWith("/") ? found.replaceAll(/[^\n]/g, " ") : found,
  )
