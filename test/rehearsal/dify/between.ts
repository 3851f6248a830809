import { makePackage } from "../../../rehearsal/dify/packages.ts";
import { exchanges } from "./golden.ts";
import type { Stage } from "./replay.ts";

/** What was done between two recorded requests without being recorded. */
export const between: Record<number, (stage: Stage) => Promise<void> | void> = {
  31: async (stage) => {
    stage.dify.config.forceVerifyingSignature = true;
    stage.dify.config.installTime = 3_600_000;
    stage.dify.lies.order("install_fails", 2);
  },
  32: (stage) => {
    stage.dify.config.forceVerifyingSignature = false;
  },
  45: (stage) => {
    // The first two installations had failed by then: no way to PyPI.
    for (const task of stage.dify.state.tasks.slice(0, 2)) task.doneAt = 0;
  },
  46: async (stage) => {
    stage.dify.state.tasks.splice(0);
    stage.dify.config.installTime = 0;
    await stage.client.install(makePackage("stablediffusion", { signed: false }));
    await stage.client.install(makePackage("openai_api_compatible", { signed: false }));
  },
  101: createdWhen,
  154: createdWhen,
  194: async (stage) => {
    const id = stage.comparison.translated("925fee55-8903-45c1-9038-cf9fa6f5186b");
    for (let key = 2; key < 10; key++) await stage.client.console("POST", `/apps/${id}/api-keys`);
  },
  213: (stage) => {
    stage.dify.config.forceVerifyingSignature = true;
  },
  217: async (stage) => {
    await stage.startDify({});
  },
  222: async (stage) => {
    // Another client from here on.
    stage.client.cookies.clear();
    await stage.client.setUp();
    stage.dify.config.installTime = 0;
    await stage.client.install(makePackage("openai_api_compatible", { signed: false }));
    stage.comparison.known.set("085be1da-db12-457a-b7ce-f3e5b2a2be3e", stage.dify.state.tenantId);
    await addModel(stage);
    stage.dify.lies.order("daemon_down");
  },
  225: (stage) => {
    stage.dify.lies.clear();
    stage.dify.lies.order("runtime_missing", 1);
  },
  226: (stage) => stands(stage, "01a2095d-fb3a-7e03-bd01-a9a613c79882", installationOf(stage, "openai_api_compatible")),
  238: (stage) => {
    stage.dify.state.modelCredentials = [];
  },
  239: async (stage) => {
    await addModel(stage);
    stands(stage, "01a20966-c603-7812-80aa-4056ec2c36c3", stage.dify.state.modelCredentials[0]?.id);
  },
  244: async (stage) => {
    await stage.client.install(makePackage("zhipuai", { signed: false }));
  },
  249: (stage) => stands(stage, "01a2096d-de96-7268-ada3-5d977541a3b9", installationOf(stage, "zhipuai")),
  252: async (stage) => {
    await stage.client.upload(makePackage("stablediffusion", { signed: false }));
  },
  250: (stage) => {
    stage.dify.config.marketplaceUrl = stage.marketplace.url;
    stage.marketplace.packages.set("langgenius/ollama", makePackage("ollama", { signed: false }));
  },
};

function stands(stage: Stage, theirs: string, ours: string | undefined): void {
  stage.comparison.known.set(theirs, ours ?? "nothing stands for it");
}

function installationOf(stage: Stage, name: string): string | undefined {
  return stage.dify.state.plugins.find((each) => each.package.startsWith(`langgenius/${name}:`))?.id;
}

/** Lists are sorted by the second in which an app was made. */
function createdWhen(stage: Stage): void {
  for (const { note, resp } of exchanges()) {
    if (!/^list (apps )?by name$/.test(note)) continue;
    for (const { id, created_at } of (resp as { data: { id: string; created_at: number }[] }).data) {
      const made = stage.dify.state.apps.find((each) => each.id === stage.comparison.known.get(id));
      if (made) made.createdAt = created_at;
    }
  }
}

async function addModel(stage: Stage): Promise<void> {
  const path =
    "/workspaces/current/model-providers/langgenius/openai_api_compatible/openai_api_compatible/models/credentials";
  const example = exchanges()[81]?.body as object;
  const text = stage.comparison.translated(JSON.stringify(example));
  await stage.client.console("POST", path, JSON.parse(text));
}
