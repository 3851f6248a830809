import { parseDocument, YAMLSeq } from "yaml";
import { catalog } from "../../../images/catalog.ts";
import { parseSettings, type Settings, SettingsError, settingsSchema } from "../../../stacks/schema.ts";
import { UserError } from "../errors.ts";
import { project } from "../paths.ts";

/** An entry of `atelier:models`, as it is written. */
export type Entry = Exclude<Settings["models"][number], string>;

/**
 * The text of a settings file with one more model; comments and order are kept.
 * A stack that names no models has the default ones: they are written out, or the new one would take their place.
 * @param entry an entry of its own, or the name of one of the catalog's
 * @throws UserError (exit code 2) where the stack has one of that name or file, or the settings would not be valid
 */
export function withModel(text: string, stack: string, entry: Partial<Entry> | string): string {
  const document = parseDocument(text);
  if (document.errors.length > 0)
    throw new UserError(`The stack's settings are not YAML: ${document.errors[0]?.message}`, 2);
  const path = ["config", `${project}:models`];
  const before = (document.toJS() as { config?: Record<string, unknown> } | null)?.config?.[`${project}:models`];
  const models = Array.isArray(before) ? (before as (string | Partial<Entry>)[]) : defaultModels();
  refuseTwice(models, entry, stack);
  if (!Array.isArray(before)) document.setIn(path, document.createNode(models));
  const list = document.getIn(path);
  if (list instanceof YAMLSeq) list.flow = false;
  document.addIn(path, document.createNode(entry));
  validate([...models, entry], stack);
  return document.toString({ lineWidth: 0 });
}

const defaultModels = () => settingsSchema.shape.models.parse(undefined) as string[];

function refuseTwice(models: (string | Partial<Entry>)[], entry: Partial<Entry> | string, stack: string): void {
  const known = models.map((model) =>
    typeof model === "string" ? (catalog.find(({ name }) => name === model) ?? { name: model, file: "" }) : model,
  );
  const own =
    typeof entry === "string" ? (catalog.find(({ name }) => name === entry) ?? { name: entry, file: "" }) : entry;
  for (const { name, file } of known) {
    if (name === own.name)
      throw new UserError(`Stack \`${stack}\` has a model \`${name}\` already. Another name: --name`, 2);
    if (file !== "" && file === own.file)
      throw new UserError(`Stack \`${stack}\` has a model with the file ${file} already (\`${name}\`).`, 2);
  }
}

/** Only the models: other settings of the stack are not this command's matter. */
function validate(models: unknown[], stack: string): void {
  try {
    parseSettings({ host: { kind: "local" }, models }, stack);
  } catch (error) {
    if (error instanceof SettingsError) throw new UserError(error.message, 2);
    throw error;
  }
}
