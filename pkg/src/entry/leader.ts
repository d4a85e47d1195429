// "pocketmq/leader": the script of the dedicated worker that each tab starts, to lead when its turn comes.
import "../browser/leader/election.js";
