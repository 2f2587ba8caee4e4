// Read only by a Node that is new enough: older ones know no import().
import('./bootstrap.mjs');
