/** The one place that parses JSON: what a text holds is unknown until somebody looks. Throws `SyntaxError`. */
export const parseJson = (text: string): unknown => JSON.parse(text)
