// The made-up session's 24 tools, with descriptions as long as such tools have them.

export const sessionTools = () => TOOLS.map(toolOf);

function toolOf([name, description, parameters]) {
  const properties = Object.fromEntries(
    Object.entries(parameters).map(([parameter, schema]) => [parameter.replace("?", ""), schema]),
  );
  const required = Object.keys(parameters).filter((parameter) => !parameter.endsWith("?"));
  const input_schema = { type: "object", properties, required };
  return {
    name,
    description: `${description}\n\nUsage notes:\n${notesFor(name, required)}`,
    input_schema,
  };
}

function notesFor(name, required) {
  const needs = required.length
    ? required.map((each) => `\`${each}\``).join(" and ")
    : "no parameter";
  return NOTES.map((note) => `- ${note.replace("NAME", name).replace("NEEDS", needs)}`).join("\n");
}

const NOTES = [
  "NAME needs NEEDS; what is optional is left out unless there is a reason for it, and is never sent empty.",
  "Its result is given to you and not to the person. Say what is of interest in it, in a sentence or two.",
  "Several calls of NAME that do not depend on each other are made in one message, so that they run together.",
  "A result of more than 30,000 characters is cut, and says so at its end. Ask for less then, not again for the same.",
  "If NAME is refused, the person has decided so. Do not try to reach the same by another tool; ask what is wanted instead.",
  "An error that names a parameter is about your input. Mend the input; the same call would fail in the same way.",
  "Use NAME only for what the current task needs. What may be useful later can be looked up later, when it is known why.",
];

const text = (description) => ({ type: "string", description });
const whole = (description) => ({ type: "integer", minimum: 0, description });
const flag = (description) => ({ type: "boolean", description });
const oneOf = (description, ...values) => ({ type: "string", enum: values, description });
const list = (items, description) => ({ type: "array", items, description });
const object = (properties) => ({ type: "object", properties, required: Object.keys(properties) });

const file = text("The absolute path of the file.");
const repository = { owner: text("The owner of the repository."), repo: text("Its name.") };

const TOOLS = [
  [
    "Read",
    "Reads a file from the local file system, with its lines numbered. Images and PDFs are shown.",
    {
      file_path: file,
      "offset?": whole("The line to start from, for a file that is too long to read at once."),
      "limit?": whole("How many lines to read."),
    },
  ],
  [
    "Write",
    "Writes a file, over the one that may be there. A file that exists has to be read first.",
    {
      file_path: file,
      content: text("All of the file's new content."),
    },
  ],
  [
    "Edit",
    "Replaces a text in a file by another. The text has to be there exactly once, as it was read.",
    {
      file_path: file,
      old_string: text("The text to replace, with its indentation."),
      new_string: text("The text to put there."),
      "replace_all?": flag("Replace it wherever it is, as for a new name."),
    },
  ],
  [
    "MultiEdit",
    "Makes several replacements in one file, one after the other: all of them, or none.",
    {
      file_path: file,
      edits: list(
        object({ old_string: text("To replace."), new_string: text("To put there.") }),
        "In order.",
      ),
    },
  ],
  [
    "NotebookEdit",
    "Replaces, inserts or deletes a cell of a Jupyter notebook.",
    {
      notebook_path: text("The absolute path of the notebook."),
      "cell_id?": text("The cell; a new one is inserted after it."),
      new_source: text("The cell's new source."),
      "cell_type?": oneOf("The type of a new cell.", "code", "markdown"),
      "edit_mode?": oneOf("What to do.", "replace", "insert", "delete"),
    },
  ],
  [
    "Bash",
    "Runs a command in a shell that keeps its state from one call to the next.",
    {
      command: text("The command to run."),
      "description?": text("What it does, in five to ten words."),
      "timeout?": whole("Milliseconds until it is ended, at most 600000."),
      "run_in_background?": flag("Go on at once, and read its output by BashOutput."),
    },
  ],
  [
    "BashOutput",
    "Gives what a command in the background has written since it was last looked at.",
    {
      bash_id: text("The shell that it runs in."),
      "filter?": text("A regular expression; only the lines that match it are given."),
    },
  ],
  [
    "KillShell",
    "Ends a command that runs in the background.",
    { shell_id: text("The shell to end.") },
  ],
  [
    "Glob",
    "Finds files by a pattern as src/**/*.py, the last changed ones first.",
    {
      pattern: text("The pattern."),
      "path?": text("The directory to look in, if not the working directory."),
    },
  ],
  [
    "Grep",
    "Searches in files by a regular expression, with ripgrep.",
    {
      pattern: text("The regular expression."),
      "path?": text("The file or directory to search."),
      "glob?": text("Only files that match, as *.{js,ts}."),
      "output_mode?": oneOf("What to give.", "content", "files_with_matches", "count"),
      "context?": whole("Lines to show before and after each match."),
      "case_insensitive?": flag("Whether large and small letters are the same."),
    },
  ],
  [
    "LS",
    "Lists a directory.",
    {
      path: text("The absolute path of the directory."),
      "ignore?": list(text("A pattern."), "What to leave out."),
    },
  ],
  [
    "Task",
    "Starts an agent of its own for a task of many steps, and gives back its last report.",
    {
      description: text("The task in three to five words."),
      prompt: text("All that the agent needs to know; it sees nothing else of the conversation."),
      subagent_type: oneOf("Its kind.", "general-purpose", "explorer", "reviewer"),
    },
  ],
  [
    "TodoWrite",
    "Keeps the list of tasks that the person sees.",
    {
      todos: list(
        object({
          content: text("The task."),
          status: oneOf("Its state.", "pending", "in_progress", "completed"),
        }),
        "All tasks; the list replaces the one before.",
      ),
    },
  ],
  [
    "WebFetch",
    "Fetches a page and answers a question about what is on it.",
    {
      url: { type: "string", format: "uri", description: "The page." },
      prompt: text("What to find out."),
    },
  ],
  [
    "WebSearch",
    "Searches the web, for what is newer than what you know.",
    {
      query: text("What to search for."),
      "allowed_domains?": list(text("A domain."), "Only results from these."),
      "blocked_domains?": list(text("A domain."), "No results from these."),
    },
  ],
  [
    "ExitPlanMode",
    "Shows the plan to the person and asks whether to begin.",
    { plan: text("In Markdown.") },
  ],
  [
    "SlashCommand",
    "Runs one of the project's own commands.",
    { command: text("With its arguments.") },
  ],
  [
    "mcp__github__list_issues",
    "Lists a repository's issues.",
    {
      ...repository,
      "state?": oneOf("Which ones.", "open", "closed", "all"),
      "labels?": list(text("A label."), "Issues that have all of these."),
    },
  ],
  [
    "mcp__github__get_issue",
    "Gives an issue with its comments.",
    {
      ...repository,
      issue_number: whole("The issue's number."),
    },
  ],
  [
    "mcp__github__create_pull_request",
    "Opens a pull request.",
    {
      ...repository,
      title: text("At most seventy characters."),
      head: text("The branch with the changes."),
      base: text("The branch that they are for."),
      "body?": text("What changes for whom, and how it was tried."),
      "draft?": flag("Whether it is a draft."),
    },
  ],
  [
    "mcp__github__search_code",
    "Searches the code of all repositories that one may see.",
    {
      q: text("The query, in GitHub's syntax."),
      "per_page?": whole("Results on a page, at most 100."),
    },
  ],
  [
    "mcp__postgres__query",
    "Runs a query that only reads on the development database.",
    {
      sql: text("One SELECT."),
      "limit?": whole("Rows at most."),
    },
  ],
  [
    "mcp__sentry__find_errors",
    "Finds errors that were seen in production, the most frequent first.",
    {
      project: text("The project's name."),
      "since?": { type: "string", format: "date-time", description: "From when on." },
      "query?": text("Words of the message."),
    },
  ],
  [
    "mcp__slack__post_message",
    "Posts a message in a channel, in the person's name.",
    {
      channel: text("The channel, with its #."),
      message: text("The message, in Markdown."),
    },
  ],
];
